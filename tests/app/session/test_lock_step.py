"""Lock-step: the same seed and commands give the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from world import session_threads, until

from gpc_studio.app.session import Session


def same(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def script(session):
    """What a user might do; every command waits for its place in simulated time."""
    pictures = [session.run(0.33)]
    session.set_weights({"distance": 2.0})
    session.set_goal([0.4, 0, 0])
    pictures.append(session.run(0.21))
    session.set_option("rate", 50.0)
    session.push(1, [0, 0, 0.2], [3.0, 0, 0])
    pictures.append(session.run(0.2))
    session.release_push()
    session.set_option("samples", 16)
    pictures.append(session.run(0.4))
    session.set_controller("predictive_sampling")
    pictures.append(session.run(0.4))
    session.rewind(0.3)
    pictures.append(session.run(0.2))
    session.reset(5)
    pictures.append(session.run(0.3))
    return pictures


@pytest.mark.parametrize("paused", [False, True])
def test_same_seed_same_bits(new_session, factory, paused):
    outcomes = []
    for delay in (0.0, 0.002):  # neither the machine's speed nor a watching page matters
        factory.delay = delay
        with new_session(mode="lock-step", seed=3, paused=paused) as session:
            outcomes.append(script(session))
    for one, other in zip(*outcomes, strict=True):
        assert same(one.state, other.state)
        assert np.array_equal(one.plan.cost, other.plan.cost)
        assert one.state.time == other.state.time


def test_other_seed_other_episode(new_session):
    ends = []
    for seed in (1, 2):
        with new_session(mode="lock-step", seed=seed) as session:
            ends.append(session.run(0.5).state.qpos[0])
    assert ends[0] != ends[1]


def test_a_free_run_makes_the_same_plans(new_session):
    with new_session(mode="lock-step", seed=3) as session:
        session.run(1.0)
        fast = session.history.arrays()
    with new_session(mode="lock-step", seed=3, speed=4.0) as session:
        session.wait_ready()
        while session.snapshot.state.time < 0.5:
            pass
        paced = session.history.arrays()
    count = min(len(fast["best"]), len(paced["best"]))
    assert count >= 10
    assert np.array_equal(fast["best"][:count], paced["best"][:count])


def test_values_set_at_rest_count_from_the_first_plan(new_session, factory):
    """Whether a plan was made before the value came or not, the outcome is the same."""
    outcomes = []
    for wait in (False, True):
        factory.weights_seen.clear()
        with new_session(mode="lock-step", paused=True) as session:
            if wait:
                session.wait_ready()
            session.set_weight("distance", 7.0)
            outcomes.append(session.run(0.5))
            assert factory.weights_seen[-1]["distance"] == 7.0
    assert same(outcomes[0].state, outcomes[1].state)
    assert np.array_equal(outcomes[0].plan.cost, outcomes[1].plan.cost)


def test_the_plant_never_outruns_its_plan(new_session, factory):
    with new_session(mode="lock-step", options={"rate": 25.0}) as session:
        session.run(2.0)
    times = np.array(factory.times)
    assert np.allclose(np.diff(times), 0.04)
    assert session.snapshot.timing.dropped_plans == 0


def test_five_lines_with_a_real_planner():
    outcomes = []
    for _ in range(2):
        with Session("cart_pole", "mppi", mode="lock-step") as session:
            outcomes.append(session.run(1.0))
    one, other = outcomes
    assert one.state.time == pytest.approx(1.0)
    assert same(one.state, other.state)
    assert np.array_equal(one.plan.knots, other.plan.knots)
    assert session_threads() == []


def test_a_real_planner_goes_on_from_the_plan_before():
    """A change of shapes starts from the plan in force, not from rest."""
    with Session("cart_pole", "predictive_sampling", mode="lock-step") as session:
        session.run(1.0)
        until(lambda: session.snapshot.plan.time > 0.99)  # the plan for where it stands now
        before = session.snapshot.plan
        assert np.abs(before.executed).max() > 0.1
        session.set_options({"samples": 2, "knots": 6})
        first = session.wait_ready().plan
        assert first.knots.shape[:2] == (2, 6)
        kept = np.asarray(first.knots[0])  # the previous plan is always the first sample
        rows = np.clip(
            np.rint((first.knot_times - before.time) / session.snapshot.task.dt), 0, None
        )
        expected = before.controls[np.minimum(rows.astype(int), len(before.controls) - 1)]
        assert np.allclose(kept, expected, atol=1e-5)
