"""The planning step."""

import dataclasses
import gc
import weakref
from itertools import pairwise

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpc_studio.controllers.engines.base import Rollouts, by_sample
from gpc_studio.controllers.engines.choose import resolve_engine
from gpc_studio.controllers.options import EXECUTE, RISKS
from gpc_studio.controllers.plan import Source
from gpc_studio.controllers.planner import Planner
from gpc_studio.controllers.registry import controller, controller_names, default_options
from gpc_studio.controllers.rules.cem import CENTRES
from gpc_studio.scenes import State
from gpc_studio.scenes.cart_pole.task import CartPole
from tests.controllers.arm import Arm, states

SMALL = dict(samples=12, horizon=0.2, knots=4)


def make(task, name="cem", episodes=1, **changes):
    threads, seed = changes.pop("threads", 0), changes.pop("seed", 0)
    options = dataclasses.replace(default_options(task, name), **(SMALL | changes))
    return Planner(task, name, options, episodes=episodes, threads=threads, seed=seed), options


def plans(planner, options, state, seeds, count=3, period=0.02):
    """Some plans from a standing world, at the planning rate."""
    memory, weights, found = planner.start(state, seeds), planner.task.default_weights(), []
    for _ in range(count):
        memory, plan, _ = planner.step(memory, state, options, weights)
        found.append(plan)
        state = state._replace(time=state.time + period)
    return found


def rows(state, index):
    return State(*(values[index] for values in state))


@pytest.fixture(scope="module")
def two(arm):
    return states(arm, 2, seed=4)


@pytest.mark.parametrize("name", controller_names())
def test_shapes_limits_and_sources(arm, two, name):
    planner, options = make(arm, name, episodes=2, domains=3, noise=1.0)
    low, high = arm.control_range
    for plan in plans(planner, options, two, [0, 1]):
        assert plan.knots.shape == (2, 12, 4, 2)
        assert plan.cost.shape == plan.weight.shape == plan.source.shape == (2, 12)
        assert plan.domain_cost.shape == (2, 3, 12) and plan.cost_terms.shape == (2, 12, 3)
        assert plan.controls.shape == (2, 20, 2) and plan.executed.shape == (2, 4, 2)
        assert plan.traces.shape == (2, 12, 21, 1, 3) and plan.traces.dtype == np.float32
        assert plan.qpos.shape == (2, 12, 21, 2) and plan.latents is None
        assert (plan.source[:, 0] == Source.PREVIOUS).all()
        assert (plan.source[:, 1:] == Source.GAUSSIAN).all()
        for values in (plan.knots, plan.executed, plan.controls, plan.mean):
            assert (values >= low - 1e-6).all() and (values <= high + 1e-6).all()
        np.testing.assert_allclose(plan.weight.sum(1), 1.0, atol=1e-5)
        np.testing.assert_array_equal(plan.best, plan.cost.argmin(1))
        assert all(isinstance(v, np.ndarray) for v in plan if v is not None)
        assert (plan.std > 0).all()
    planner.close()


def test_costs_are_those_of_the_task(arm, two):
    planner, options = make(arm, episodes=2, domains=2, risk_metric="worst")
    weights = {"reach": 2.0, "effort": 0.3, "arrive": 0.7}
    _, plan, _ = planner.step(planner.start(two, [0, 1]), two, options, weights)
    rollouts = planner.engine.rollout(two, controls_of(planner, plan.knots))
    sensordata = by_sample(rollouts.sensordata)
    gap = sensordata[..., :3] - two.mocap_pos[:, None, None, None, 0]
    square = (gap**2).sum(-1)  # (E, D, N, T+1)
    effort = (controls_of(planner, plan.knots) ** 2).sum(-1).sum(-1)[:, None]
    terms = np.stack(
        np.broadcast_arrays(
            2.0 * arm.dt * square[..., :-1].sum(-1), 0.3 * arm.dt * effort, 0.7 * square[..., -1]
        ),
        axis=-1,
    )
    np.testing.assert_allclose(plan.cost_terms, terms.mean(1), rtol=1e-4)
    np.testing.assert_allclose(plan.domain_cost, terms.sum(-1), rtol=1e-4)
    np.testing.assert_allclose(plan.cost, terms.sum(-1).max(1), rtol=1e-4)
    np.testing.assert_allclose(plan.traces[:, :, :, 0], sensordata[:, 0, ..., :3], atol=1e-6)
    planner.close()


def controls_of(planner, knots):
    return np.clip(planner._stages._basis @ knots, *planner.task.control_range).astype(np.float32)


def test_first_mean_holds_still_within_the_limits(arm, two):
    planner, options = make(arm, "mppi")
    first = plans(planner, options, rows(two, slice(0, 1)), [0], count=1)[0]
    np.testing.assert_allclose(first.knots[0, 0], np.tile([0.1, -0.5], (4, 1)), atol=1e-6)
    planner.close()


@pytest.mark.parametrize("execute", EXECUTE)
def test_the_previous_plan_is_sample_zero(arm, two, execute):
    planner, options = make(arm, execute=execute)
    one = rows(two, slice(0, 1))
    still = plans(planner, options, one, [0], count=4, period=0.0)
    for before, after in pairwise(still):
        np.testing.assert_array_equal(after.knots[0, 0], before.executed[0])
        expected = {"best": before.knots[0, before.best[0]], "mean": before.mean[0]}[execute]
        np.testing.assert_array_equal(before.executed[0], expected)
        if execute == "best":  # so the best cost never rises in a world that stands still
            assert after.cost.min() <= before.cost.min() * (1 + 1e-6)
    moving = plans(planner, options, one, [0], count=3, period=0.2)
    for before, after in pairwise(moving):  # past its end: the last knot
        np.testing.assert_allclose(
            after.knots[0, 0], np.tile(before.executed[0, -1], (4, 1)), atol=1e-5
        )
    planner.close()


def test_plans_improve(arm, two):
    for name in controller_names():
        planner, options = make(arm, name, episodes=2, samples=32)
        found = plans(planner, options, two, [0, 1], count=25, period=0.0)
        planner.close()
        first, last = found[0].domain_cost[:, 0, 0], found[-1].cost.min(1)
        assert (last < 0.9 * first).all(), (name, first, last)


@pytest.mark.parametrize("engine", ["native", "analytic"])
def test_same_seeds_same_bits(arm, two, engine):
    task = CartPole() if engine == "analytic" else arm
    state = states(task, 4, seed=2)
    found = []
    for threads in (1, 2, 3):
        planner, options = make(task, engine=engine, episodes=4, domains=2, threads=threads)
        found.append(plans(planner, options, state, [5, 6, 7, 8])[-1])
        planner.close()
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, found[0], other)
    assert np.abs(found[0].knots[0] - found[0].knots[1]).max() > 0.01  # seeds do matter


@pytest.mark.parametrize("engine", ["native", "analytic"])
def test_an_episode_does_not_depend_on_the_others_or_its_place(arm, engine):
    task = CartPole() if engine == "analytic" else arm
    state, others = states(task, 4, seed=2), states(task, 4, seed=9)
    planner, options = make(task, engine=engine, episodes=4)
    alone = plans(planner, options, state, [5, 6, 7, 8])[-1]
    order = [2, 0, 3, 1]
    moved = plans(planner, options, rows(state, order), [[5, 6, 7, 8][i] for i in order])[-1]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[order], b), alone, moved)
    mixed = State(*(np.concatenate([a[:1], b[1:]]) for a, b in zip(state, others, strict=True)))
    padded = plans(planner, options, mixed, [5, 1, 2, 3])[-1]
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b[0]), alone, padded)
    planner.close()


def test_episodes_may_be_at_different_times(arm, two):
    planner, options = make(arm, episodes=2)
    memory, weights = planner.start(two, [0, 0]), arm.default_weights()
    memory, _, _ = planner.step(memory, two, options, weights)
    later = two._replace(time=two.time + np.array([0.0, 0.05]))
    _, plan, _ = planner.step(memory, later, options, weights)
    np.testing.assert_allclose(plan.time, later.time)
    spacing = plan.knot_times - later.time[:, None]
    np.testing.assert_allclose(spacing, np.tile(np.linspace(0, 0.2, 4), (2, 1)), atol=1e-9)
    np.testing.assert_array_equal(plan.knots[0, 0], np.asarray(memory.executed)[0])
    assert np.abs(plan.knots[1, 0] - np.asarray(memory.executed)[1]).max() > 1e-4
    planner.close()


@pytest.mark.parametrize("name", controller_names())
def test_nothing_but_static_options_compiles_again(arm, two, name):
    planner, options = make(arm, name, episodes=2, domains=2)
    planner.compile(two)
    compiled = [planner._stages.propose, planner._stages.cost, planner._stages.update]
    assert [function._cache_size() for function in compiled] == [1, 1, 1]
    memory, weights = planner.start(two, [0, 1]), arm.default_weights()
    changes = [
        dict(noise=0.11), dict(rate=7.0), dict(ramp=2.0), dict(iterations=3), dict(risk_level=0.5),
        *(dict(execute=choice) for choice in EXECUTE), *(dict(risk_metric=r) for r in RISKS),
    ]  # fmt: skip
    if name == "cem":
        changes += [dict(elites=9), dict(patience=0), *(dict(centre=c) for c in CENTRES)]
    for change in changes:
        options = dataclasses.replace(options, **change)
        assert planner.accepts(options)
        weights = {key: value + 0.1 for key, value in weights.items()}
        memory, _, timing = planner.step(memory, two, options, weights)
        assert timing.total > 0
    assert [function._cache_size() for function in compiled] == [1, 1, 1]
    for change in (dict(samples=13), dict(horizon=0.3), dict(spline="zero"), dict(domains=1)):
        other = dataclasses.replace(options, **change)
        assert not planner.accepts(other)
        with pytest.raises(ValueError, match="static options"):
            planner.step(memory, two, other, weights)
    planner.close()


def test_compiling_has_no_side_effect(arm, two):
    planner, options = make(arm, episodes=2)
    before = plans(planner, options, two, [0, 1])[-1]
    planner.compile(rows(two, [1, 0]))
    jax.tree.map(np.testing.assert_array_equal, before, plans(planner, options, two, [0, 1])[-1])
    planner.close()


class Diverging:
    """An engine in which chosen samples diverge."""

    def __init__(self, engine, diverged):
        self.engine, self.diverged = engine, diverged

    def rollout(self, state, controls):
        found = self.engine.rollout(state, controls)
        ok, qpos = np.array(found.ok), np.array(found.qpos)
        ok[..., self.diverged] = False
        qpos[:, :, 3:, :, self.diverged] = np.nan
        return Rollouts(qpos, found.qvel, found.act, found.sensordata, ok)

    def close(self):
        self.engine.close()


@pytest.mark.parametrize("name", controller_names())
def test_diverged_rollouts_never_spoil_a_plan(arm, two, name):
    planner, options = make(arm, name, episodes=2)
    memory, weights = planner.start(two, [0, 1]), arm.default_weights()
    memory, _, _ = planner.step(memory, two, options, weights)
    engine = planner.engine
    planner._engine = Diverging(engine, [0, 3, 7])
    memory, some, _ = planner.step(memory, two, options, weights)
    assert np.isinf(some.cost[:, [0, 3, 7]]).all() and np.isfinite(some.cost[:, 1:3]).all()
    assert (some.weight[:, [0, 3, 7]] == 0).all() and np.isfinite(some.executed).all()
    planner._engine = Diverging(engine, np.arange(12))
    after, none, _ = planner.step(memory, two, options, weights)
    assert np.isinf(none.cost).all()
    # The plan before is kept.
    np.testing.assert_allclose(none.executed, np.asarray(memory.executed), atol=1e-6)
    finite = jax.tree.map(lambda x: bool(np.isfinite(np.asarray(x)).all()), after.executed)
    assert finite and np.isfinite(none.std).all() and np.isfinite(none.controls).all()
    planner._engine = engine
    _, again, _ = planner.step(after, two, options, weights)
    assert np.isfinite(again.cost).all() and np.isfinite(again.executed).all()
    planner.close()


def test_a_physically_diverging_state_costs_infinity(arm, two):
    planner, options = make(arm, episodes=2)
    broken = two.qvel.copy()
    broken[0] = 1e12
    plan = plans(planner, options, two._replace(qvel=broken), [0, 1], count=1)[0]
    assert np.isinf(plan.cost[0]).all() and np.isfinite(plan.cost[1]).all()
    assert np.isfinite(plan.executed).all()
    planner.close()


def test_more_iterations_search_further(arm, two):
    costs = []
    for iterations in (1, 8):
        planner, options = make(arm, episodes=2, iterations=iterations, execute="best")
        costs.append(plans(planner, options, two, [0, 1], count=1)[0].cost.min(1))
        planner.close()
    assert (costs[1] < costs[0]).all()


@settings(deadline=None, max_examples=25)
@given(
    noise=st.floats(0.01, 2.0),
    ramp=st.floats(1.0, 5.0),
    elites=st.integers(1, 1024),
    seed=st.integers(0, 2**31),
    offset=st.floats(-1.0, 5.0),
)
def test_limits_hold_whatever_the_options(noise, ramp, elites, seed, offset):
    planner, options, state = limits_planner()
    options = dataclasses.replace(options, noise=noise, ramp=ramp, elites=elites)
    memory, weights = planner.start(state, [seed]), planner.task.default_weights()
    memory, _, _ = planner.step(memory, state, options, weights)
    later = state._replace(time=state.time + offset)
    _, plan, _ = planner.step(memory, later, options, weights)
    low, high = planner.task.control_range
    for values in (plan.knots, plan.executed, plan.controls):
        assert (values >= low - 1e-6).all() and (values <= high + 1e-6).all()
    assert np.isfinite(plan.mean).all() and np.isfinite(plan.std).all()


_limits = []


def limits_planner():
    if not _limits:
        task = Arm()
        _limits.append((*make(task), states(task, 1)))
    return _limits[0]


def test_mistakes_are_explained(arm, two):
    planner, options = make(arm)
    with pytest.raises(TypeError, match="mppi takes MPPIOptions, got CEMOptions"):
        Planner(arm, "mppi", options)
    with pytest.raises(ValueError, match="no weight given for 'arrive'"):
        one = rows(two, slice(0, 1))
        planner.step(planner.start(one, [0]), one, options, {"reach": 1.0, "effort": 1.0})
    planner.close()
    with pytest.raises(ValueError, match="arm has no analytic dynamics"):
        make(arm, engine="analytic")

    class Unweighted(Arm):
        def cost_terms(self, state, control):
            return super().cost_terms(state, control) | {"speed": state.qvel @ state.qvel}

    with pytest.raises(ValueError, match="arm: cost terms without a weight: speed"):
        make(Unweighted())


def test_automatic_engine(arm):
    assert resolve_engine(arm, "auto") == "native"
    assert resolve_engine(CartPole(), "auto") == "analytic"
    assert resolve_engine(CartPole(), "native") == "native"


class Fixed:
    """A proposal with latents and a traced parameter."""

    name, source, latent_size = "fixed", 2, 3

    def __init__(self, count, parameters, size=3):
        self._count, self.parameters, self.latent_size = count, np.float32(parameters), size

    def count(self, options):
        return self._count

    def draw(self, parameters, key, count, context, options):
        knots = np.zeros((count, *context.mean.shape), np.float32) + parameters
        change = context.observation - context.last_observation
        return knots, np.ones((count, 1)) * change[: self.latent_size]


class Sampled(Arm):
    """Observes three numbers."""

    def observe(self, state):
        return state.sensordata[:3]


def test_further_proposals(two):
    task, proposal = Sampled(), Fixed(5, 0.25)
    options = dataclasses.replace(default_options(task, "cem"), **SMALL)
    planner = Planner(task, "cem", options, episodes=2, proposals=[proposal])
    memory, weights = planner.start(two, [0, 1]), task.default_weights()
    memory, plan, _ = planner.step(memory, two, options, weights)
    assert plan.source[0].tolist() == [Source.PREVIOUS] + 5 * [2] + 6 * [Source.GAUSSIAN]
    np.testing.assert_array_equal(plan.knots[:, 1:6], 0.25)
    assert plan.latents.shape == (2, 12, 3) and (plan.latents == 0).all()
    proposal.parameters = np.float32(-9.0)  # takes effect at once, and is clipped to the limits
    moved = two._replace(sensordata=two.sensordata + 0.5)
    _, plan, _ = planner.step(memory, moved, options, weights)
    np.testing.assert_array_equal(plan.knots[:, 1:6], np.tile([-1.0, -0.5], (2, 5, 4, 1)))
    np.testing.assert_allclose(plan.latents[:, 1:6], 0.5, atol=1e-6)  # what changed since
    assert (plan.latents[:, 6:] == 0).all()
    assert planner._stages.propose._cache_size() == 1
    planner.close()
    with pytest.raises(ValueError, match=r"samples is 12, but .* draw 13"):
        Planner(task, "cem", options, proposals=[Fixed(12, 0.0)])
    with pytest.raises(ValueError, match="different sizes"):
        Planner(task, "cem", options, proposals=[Fixed(2, 0.0), Fixed(2, 0.0, size=2)])
    seeded = dataclasses.replace(controller("cem"), proposals=("policy",))
    with pytest.raises(ValueError, match="cem needs a proposal policy"):
        Planner(task, seeded, options)


def test_a_closed_planner_is_gone_at_once():
    planner, _ = make(CartPole(), "cem")
    planner.compile(states(CartPole(), 1, seed=0))
    stages, engine = weakref.ref(planner._stages), weakref.ref(planner.engine)
    gc.disable()  # compiled code takes memory that the collector of cycles does not know of
    try:
        planner.close()
        planner.close()
        del planner
        assert stages() is None and engine() is None
    finally:
        gc.enable()
