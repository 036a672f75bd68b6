"""Controllers that use a trained policy."""

import dataclasses
import subprocess
import sys
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpc_studio.controllers.options import encoded
from gpc_studio.controllers.plan import Source
from gpc_studio.controllers.planner import Planner
from gpc_studio.controllers.registry import controller, controller_names, default_options
from gpc_studio.controllers.rules.base import Candidates
from gpc_studio.models.controllers.gpc_cem import GPCCEM, GPCCEMOptions
from gpc_studio.models.controllers.options import PACKAGE
from gpc_studio.options import OptionError, describe
from tests.controllers.arm import states
from tests.models.reacher import Reacher, options_of, planner, proposal

NAMES = ("gpc", "gpc_cem", "gpc_mppi", "gpc_ps", "gpc_shoot")
SEEDED = ("gpc_cem", "gpc_mppi", "gpc_ps")


@pytest.fixture(scope="module")
def task():
    return Reacher()


@pytest.fixture(scope="module")
def two(task):
    return states(task, 2, seed=4)


def plans(made, options, state, count=3, period=0.02):
    """Some plans from a standing world, and the memory after them."""
    memory, weights, found = made.start(state, [0, 1]), made.task.default_weights(), []
    for _ in range(count):
        memory, plan, _ = made.step(memory, state, options, weights)
        found.append(plan)
        state = state._replace(time=state.time + period)
    return found


def test_they_are_found_beside_the_rules():
    assert controller_names(PACKAGE)[-5:] == NAMES
    assert set(NAMES).isdisjoint(controller_names())
    for name in NAMES:
        options = describe(controller(name, PACKAGE).options_type)
        labels = [options[key].label for key in ("checkpoint", "warm_start", "flow_steps")]
        assert labels == ["Checkpoint", "Warm start", "Flow steps"]
        assert options["checkpoint"].default == ""
        assert ("policy_share" in options) == (name in SEEDED)
    assert describe(GPCCEMOptions)["policy_share"].label == "Policy share"


def test_listing_them_loads_no_network_library():
    code = (
        "import sys; from gpc_studio.app.planners import controller_names; controller_names();"
        "sys.exit(any(name in sys.modules for name in ('flax', 'mujoco', 'optax')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_they_take_the_defaults_of_the_rule_they_are_like(task):
    assert default_options(task, "gpc_cem", PACKAGE).elites == 6
    assert default_options(task, "gpc_mppi", PACKAGE).temperature == 0.05

    class Own(Reacher):
        defaults: ClassVar = {
            "cem": {"elites": 6},
            "gpc_cem": {"elites": 3},
            "gpc": {"warm_start": 0.5},
        }

    assert default_options(Own(), "gpc_cem", PACKAGE).elites == 3
    assert default_options(Own(), "gpc", PACKAGE).warm_start == 0.5
    assert controller("gpc", PACKAGE).options_type().warm_start == 1.0
    with pytest.raises(OptionError, match=r"reacher.*gpc_cem"):
        Own.defaults = {"gpc_cem": {"temperature": 1.0}}
        default_options(Own(), "gpc_cem", PACKAGE)


def test_gpc_executes_its_first_sample_rolled_out_or_not(task, two):
    found = {}
    for show in (False, True):
        made, options = planner(task, "gpc", show_rollouts=show, warm_start=0.4)
        found[show] = plans(made, options, two)
        made.close()
    for alone, shown in zip(found[False], found[True], strict=True):
        assert not alone.rolled_out and shown.rolled_out
        np.testing.assert_array_equal(alone.executed, alone.knots[:, 0])
        np.testing.assert_allclose(alone.executed, shown.executed, atol=1e-6)
        np.testing.assert_allclose(alone.controls, shown.controls, atol=1e-6)
        np.testing.assert_allclose(alone.latents[:, 0], shown.latents[:, 0], atol=1e-6)
        assert alone.knots.shape == (2, 1, 4, 2) and shown.knots.shape == (2, 12, 4, 2)
        assert (alone.source == Source.FLOW).all() and (shown.source == Source.FLOW).all()
    # It is not the cheapest that is executed.
    assert any((plan.best != 0).any() for plan in found[True])


def test_what_is_not_rolled_out_has_no_cost(task, two):
    made, options = planner(task, "gpc")
    (plan,) = plans(made, options, two, count=1)
    for value in (plan.cost, plan.cost_terms, plan.domain_cost):
        assert np.isnan(value).all()
    assert plan.traces.shape == (2, 0, made.steps + 1, 1, 3)
    assert plan.qpos.shape == (2, 0, made.steps + 1, task.model.nq)
    assert made.engine_name == "none"
    with pytest.raises(ValueError, match="gpc acts without rollouts"):
        _ = made.engine
    made.close()


def test_gpc_carries_on_from_its_last_plan(task, two):
    """With a warm start of 1 no noise is left: the same plans whatever the seed."""
    made, options = planner(task, "gpc")
    memory, weights = made.start(two, [0, 1]), task.default_weights()
    other = made.start(two, [7, 8])
    _, plan, _ = made.step(memory, two, options, weights)
    _, same, _ = made.step(other, two, options, weights)
    np.testing.assert_array_equal(plan.executed, same.executed)
    noisy = dataclasses.replace(options, warm_start=0.5)
    _, one, _ = made.step(memory, two, noisy, weights)
    _, two_, _ = made.step(other, two, noisy, weights)
    assert np.abs(one.executed - two_.executed).max() > 1e-3
    assert made._stages.act._cache_size() == 1
    made.close()


def test_gpc_shoot_rolls_out_the_policy_and_keeps_the_best(task, two):
    made, options = planner(task, "gpc_shoot")
    for plan in plans(made, options, two):
        assert (plan.source[:, 0] == Source.PREVIOUS).all()
        assert (plan.source[:, 1:] == Source.FLOW).all()
        for e in range(2):
            best = plan.knots[e, plan.cost[e].argmin()]
            np.testing.assert_array_equal(plan.executed[e], best)
            np.testing.assert_array_equal(plan.mean[e], best)
        assert (plan.std == 0).all()
    made.close()


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (50.0, 6), (100.0, 11)])
def test_the_share_of_the_policy(task, two, name, share, count):
    options = options_of(task, name, policy_share=share)
    given = [proposal(task, options)]
    made = Planner(task, controller(name, PACKAGE), options, episodes=2, proposals=given)
    assert (made.source == Source.FLOW).sum() == count
    assert (made.source == Source.GAUSSIAN).sum() == 11 - count
    if share == 50.0:
        (plan,) = plans(made, options, two, count=1)
        np.testing.assert_array_equal(plan.source, np.tile(made.source, (2, 1)))
        flow = plan.source == Source.FLOW
        assert np.abs(plan.latents[flow]).min() > 0 and (plan.latents[~flow] == 0).all()
    made.close()


def test_gpc_cem_is_algorithm_1(task, two):
    """The mean is the best sample, the deviation that of the elites, the best is executed."""
    made, options = planner(task, "gpc_cem", hand_over=0, patience=0, ramp=1.0, noise_min=0.0)
    assert (options.execute, options.centre) == ("best", "best")
    (plan,) = plans(made, options, two, count=1)
    for e in range(2):
        order = plan.cost[e].argsort()
        elites = plan.knots[e, order[: options.elites]]
        np.testing.assert_array_equal(plan.executed[e], plan.knots[e, order[0]])
        np.testing.assert_array_equal(plan.mean[e], plan.knots[e, order[0]])
        np.testing.assert_allclose(plan.std[e], elites.std(axis=0), atol=1e-5)
    made.close()


class EndGame:
    """The rule of GPC-CEM alone: 12 candidates, the 8 from index 4 on are the policy's."""

    def __init__(self, **changes):
        values = {"hand_over": 3, "patience": 0, "progress": 0.05, "noise": 0.5, **changes}
        self.options = encoded(GPCCEMOptions(**values))
        self.rule, self.scale = GPCCEM(), np.ones(2, np.float32)
        mean = jnp.full((4, 2), 0.25)
        self.distribution = self.rule.start(mean, self.scale, self.options)
        source = jnp.array([0] + 3 * [1] + 8 * [2])
        self.candidates = Candidates(jnp.zeros((12, 4, 2)), source, None)

    def admitted(self):
        return self.rule.admit(
            jax.random.key(0), self.distribution, self.candidates,
            scale=self.scale, options=self.options,
        )  # fmt: skip

    def see(self, cost):
        """One plan whose lowest cost is `cost`; the mean is held."""
        costs = cost + jnp.arange(12.0)
        mean = self.distribution.mean
        new, _ = self.rule.update(
            self.distribution, self.candidates, costs, scale=self.scale, options=self.options,
            iteration=jnp.zeros(()),
        )  # fmt: skip
        self.distribution = new._replace(mean=mean)

    @property
    def handed_over(self):
        return int((self.admitted().source != self.candidates.source).sum())


def test_the_end_game_hands_over_after_a_stall_and_back_on_progress():
    game = EndGame()
    seen = []
    for cost in (1.0, 0.99, 0.98, 0.97, 0.97, 0.8, 0.8, 0.8, 0.8):
        game.see(cost)
        seen.append(game.handed_over)
    assert seen == [0, 0, 0, 6, 6, 0, 0, 0, 6]
    game.see(2.0)  # the goal was moved: the policy is asked again
    assert game.handed_over == 0


def test_the_end_game_searches_around_the_mean_at_many_scales():
    game = EndGame(noise=0.3)
    for _ in range(5):
        game.see(1.0)
    admitted = game.admitted()
    replaced = np.asarray(admitted.source != game.candidates.source)
    assert replaced.tolist() == 6 * [False] + 6 * [True]
    assert (np.asarray(admitted.source)[replaced] == Source.GAUSSIAN).all()
    spread = np.abs(np.asarray(admitted.knots)[replaced] - 0.25).mean(axis=(1, 2))
    assert spread[0] > 0.1 and spread[-1] < 0.02
    assert (np.diff(np.log(spread)) < 0.7).all()  # from coarse to fine
    np.testing.assert_array_equal(admitted.knots[~replaced], 0.0)


def test_the_end_game_can_be_switched_off():
    game = EndGame(hand_over=0)
    for _ in range(30):
        game.see(1.0)
    assert game.handed_over == 0


def test_a_standing_world_hands_over_in_the_planner(task, two):
    made, options = planner(task, "gpc_cem", hand_over=2, progress=0.5)
    first, *_, last = plans(made, options, two, count=8, period=0.0)
    assert (first.source == Source.FLOW).sum() == 12
    assert (last.source == Source.FLOW).sum() < 12
    assert (last.source == np.tile(made.source, (2, 1)))[:, :3].all()
    assert made._stages.propose._cache_size() == made._stages.update._cache_size() == 1
    made.close()


def test_the_elite_mean_cem_of_the_paper_can_be_asked_for(task):
    from gpc_studio.app.evaluate.command import controller_options

    changes = {"execute": "mean", "centre": "elites", "patience": "0"}
    options = controller_options(task, "cem", changes)["cem"]
    assert (options.execute, options.centre, options.patience) == ("mean", "elites", 0)


def test_another_policy_of_the_same_architecture_needs_no_compilation(task, two):
    made, options = planner(task, "gpc_cem")
    weights, memory = task.default_weights(), made.start(two, [0, 1])
    memory, _, _ = made.step(memory, two, options, weights)
    named = dataclasses.replace(options, checkpoint="another")
    assert not made.accepts(named) and made.shares_code(named)
    other = made.sibling(named, [proposal(task, named, seed=1)])
    assert other is not None and other.accepts(named) and not other.accepts(options)
    _, after, _ = other.step(memory, two, named, weights)
    _, again, _ = made.step(memory, two, options, weights)
    flow = made.source == Source.FLOW
    assert np.abs(after.knots - again.knots)[:, flow].max() > 1e-3
    np.testing.assert_array_equal(after.knots[:, ~flow], again.knots[:, ~flow])
    assert made._stages.propose._cache_size() == 1
    assert made.sibling(named, [proposal(task, named, width=8)]) is None
    assert made.sibling(dataclasses.replace(named, flow_steps=4), []) is None
    with pytest.raises(ValueError, match="gpc_cem needs a proposal flow"):
        made.sibling(named, [])
    made.close()
