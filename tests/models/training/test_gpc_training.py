import jax
import numpy as np
import pytest

from gpc_studio.controllers.plan import Source
from gpc_studio.models.training import gpc
from gpc_studio.models.training.gpc import GpcTraining, planning_options
from gpc_studio.models.training.options import GpcOptions
from gpc_studio.options import updated
from gpc_studio.scenes import load_task

TINY = {
    "width": 8, "iterations": 2, "episodes": 6, "plans": 5, "minibatch": 16, "epochs": 2.0,
    "gaussian_samples": 4, "policy_samples": 2, "flow_steps": 2,
}  # fmt: skip


def silent(stage, fraction):
    pass


def a_training(task="pendulum", seed=0, **changes):
    loaded = load_task(task)
    options = updated(GpcOptions(), {**TINY, **changes})
    planning = updated(planning_options(loaded, options), {"horizon": 0.2})
    return GpcTraining(loaded, options, planning, weights=loaded.default_weights(), seed=seed)


def same(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.fixture(scope="module")
def two_rounds():
    training = a_training()
    state, first = training.round(training.start(), 0, silent)
    kept = jax.tree.map(np.array, state)
    state, second = training.round(state, 1, silent)
    training.close()
    return kept, jax.tree.map(np.array, state), first, second


def test_a_round_tells_what_it_brought(two_rounds):
    _, _, first, _ = two_rounds
    assert first.examples == 6 * 5
    assert first.diverged == 0
    assert 0.0 <= first.policy_best <= 1.0
    assert first.best_cost <= first.policy_cost
    assert np.isfinite(first.loss)


def test_a_round_after_a_restart_has_the_same_bits(two_rounds):
    after_one, after_two, _, second = two_rounds
    training = a_training()
    state = jax.tree.map(jax.numpy.array, after_one)
    state, again = training.round(state, 1, silent)
    training.close()
    assert same(after_two, state)
    assert (again.loss, again.best_cost) == (second.loss, second.best_cost)


def test_the_normaliser_is_that_of_the_first_round(two_rounds):
    after_one, after_two, *_ = two_rounds
    assert same(after_one.normaliser, after_two.normaliser)
    assert not np.allclose(after_one.normaliser.std, 1.0)


def test_threads_of_lanes_give_all_episodes(monkeypatch):
    monkeypatch.setattr(gpc, "LANE_EPISODES", 3)
    training = a_training()
    assert [lane.episodes for lane in training._lanes] == [3, 3]
    state, one = training.round(training.start(), 0, silent)
    assert one.examples == 30
    training.close()
    again = a_training()
    repeated, two = again.round(again.start(), 0, silent)
    again.close()
    assert same(state, repeated)
    assert one.best_cost == two.best_cost


@pytest.mark.parametrize("lanes", [3, 6])
def test_who_is_told_may_stop_it(monkeypatch, lanes):
    monkeypatch.setattr(gpc, "LANE_EPISODES", lanes)
    training = a_training()

    class Enough(Exception):
        pass

    def stop(stage, fraction):
        raise Enough

    with pytest.raises(Enough):
        training.round(training.start(), 0, stop)
    training.close()


@pytest.mark.parametrize("advance", ["policy", "best", "both"])
def test_episodes_go_on_as_asked(advance):
    training = a_training(advance=advance)
    lane = training._lanes[0]
    policy = training.policy(training.start())
    seen = []
    inner = lane._plant.advance
    step = lane._planner.step
    plans = []

    def stepping(*arguments):
        result = step(*arguments)
        plans.append(result[1])
        return result

    lane._planner.step = stepping
    lane._plant.advance = lambda controls: seen.append(controls) or inner(controls)
    lane.collect(policy, training._seeds(0)[0], lambda fraction: None)
    training.close()
    first = int(np.flatnonzero(plans[0].source[0] == Source.FLOW)[0])
    for plan, controls in zip(plans, seen, strict=True):
        for e in range(6):
            by_policy = advance == "policy" or (advance == "both" and e % 2 == 0)
            knots = plan.knots[e, first] if by_policy else plan.executed[e]
            np.testing.assert_allclose(controls[e, 0], knots[0], atol=1e-6)


def test_the_first_sample_of_an_untrained_policy_is_the_plan_before():
    # Its velocity is zero, so a warm start goes through it unchanged; the others are noise.
    training = a_training(warm_start=1.0)
    lane = training._lanes[0]
    lane._proposal.parameters = training.policy(training.start())
    for place in range(6):
        lane._plant.place(place, training._task.reset(np.random.default_rng(place)))
    state = lane._plant.observe()
    memory = lane._planner.start(state, range(6))
    memory, _, _ = lane._planner.step(memory, state, training.planning, lane._weights)
    _, plan, _ = lane._planner.step(memory, state, training.planning, lane._weights)
    training.close()
    samples = plan.knots[:, plan.source[0] == Source.FLOW]
    np.testing.assert_allclose(samples[:, 0], np.asarray(memory.executed), atol=1e-6)
    assert np.abs(samples[:, 1] - np.asarray(memory.executed)).max() > 0.1


def test_exploration_moves_the_controls():
    controls = []
    for exploration in (0.0, 0.5):
        training = a_training(exploration=exploration)
        lane = training._lanes[0]
        inner = lane._plant.advance
        seen = []
        lane._plant.advance = lambda c, inner=inner, seen=seen: seen.append(c) or inner(c)
        lane.collect(training.policy(training.start()), training._seeds(0)[0], lambda f: None)
        training.close()
        controls.append(seen[0])
    assert np.abs(controls[0] - controls[1]).max() > 0.05
    assert np.abs(controls[1]).max() <= 1.0


def test_a_diverged_episode_gives_no_more_examples(monkeypatch):
    training = a_training()
    lane = training._lanes[0]
    inner, count = lane._plant.advance, []

    def advance(controls):
        result = inner(controls)
        count.append(1)
        if len(count) == 2:
            result.diverged[3] = 0
        return result

    lane._plant.advance = advance
    _, result = training.round(training.start(), 0, silent)
    training.close()
    assert result.diverged == 1
    assert result.examples == 6 * 5 - 3


def test_native_rollouts_and_positions_work_too():
    # Push-T: controls are positions in the goal's frame.
    training = a_training("push_t", plans=3, history=True)
    state, result = training.round(training.start(), 0, silent)
    training.close()
    assert result.examples == 18
    assert np.isfinite(result.loss)
    assert training.policy(state).architecture.observation == 6


def test_rules_with_other_options_can_be_learned_from():
    task = load_task("pendulum")
    options = updated(GpcOptions(), {"rule": "cem", "noise": 0.4})
    planning = planning_options(task, options)
    assert planning.samples == 1 + 8 + 2
    assert planning.noise == 0.4
