"""Nothing that goes wrong ends a session."""

from __future__ import annotations

import time

import mujoco
import numpy as np
import pytest
from world import CartTask, until

from gpc_studio.app.session import SessionError
from gpc_studio.options import OptionError


def errors(session):
    return [m for m in session.snapshot.messages if m.level == "error"]


@pytest.mark.parametrize("mode", ["real-time", "lock-step"])
def test_a_planner_that_raises_pauses(new_session, factory, mode):
    with new_session(mode=mode) as session:
        session.wait_ready()
        factory.fail = True
        until(lambda: errors(session))
        assert session.snapshot.paused
        message = errors(session)[-1]
        assert message.title == "mppi failed"
        assert "ZeroDivisionError: broken on purpose" in message.text
        assert "world.py, line" in message.text
        assert "Resume" in message.text
        asked = len(factory.times)
        time.sleep(0.1)
        assert len(factory.times) == asked  # it is not asked again and again
        assert len(errors(session)) == 1

        session.resume()  # it still fails, and says so
        until(lambda: len(errors(session)) == 2)
        until(lambda: session.snapshot.paused)

        factory.fail = False
        begin = session.snapshot.state.time
        session.resume()
        until(lambda: session.snapshot.state.time > begin + 0.1)
        assert not session.snapshot.paused


def test_reset_after_an_error_goes_on(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.fail = True
        until(lambda: session.snapshot.paused)
        factory.fail = False
        session.reset()
        until(lambda: not session.snapshot.paused and session.snapshot.state.time > 0.1)


def test_another_controller_after_an_error(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.fail = True
        until(lambda: session.snapshot.paused)
        factory.fail = False
        session.set_controller("cem")
        assert session.wait_ready().controller == "cem"
        session.resume()
        begin = session.snapshot.state.time
        until(lambda: session.snapshot.state.time > begin + 0.1)


def test_those_who_wait_are_told(new_session, factory):
    with new_session(mode="lock-step") as session:
        session.run(0.2)
        factory.fail = True
        with pytest.raises(SessionError, match="broken on purpose"):
            session.run(1.0)
        factory.fail = False
        assert session.run(0.2).state.time > 0.2


def test_a_plan_that_is_not_finite_is_refused(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.nan = True
        until(lambda: errors(session))
        assert "not finite" in errors(session)[-1].text
        assert np.isfinite(session.snapshot.control).all()
        factory.nan = False
        session.resume()
        until(lambda: not session.snapshot.paused)


def test_costs_that_are_not_finite_are_told_once(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.lost = "distance"
        until(lambda: session.snapshot.messages)
        until(lambda: session.snapshot.state.time > 1.0)
        (message,) = session.snapshot.messages
        assert message.level == "warning"
        assert "None of the 8 samples has a finite cost: cost term distance is" in message.text
        assert not session.snapshot.paused
        factory.lost = "rollouts"
        session.reset()
        until(lambda: len(session.snapshot.messages) == 2)
        assert "the simulation diverges in all of them" in session.snapshot.messages[-1].text


class FragileTask(CartTask):
    """Its motor becomes absurd, or its success test breaks, when told to."""

    broken = ""

    def is_success(self, state):
        if self.broken == "success":
            raise KeyError("no such thing")
        return super().is_success(state)


@pytest.mark.parametrize("mode", ["real-time", "lock-step"])
def test_divergence_pauses_with_the_last_sound_state(new_session, mode, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mujoco.set_mju_user_warning(None)
    with new_session(FragileTask(), mode=mode) as session:
        session.wait_ready()
        until(lambda: session.snapshot.state.time > 0.3)
        plant = session._plant.episode.plant
        plant.model.actuator_gainprm[0, 0] = 1e300
        until(lambda: errors(session))
        snapshot = session.snapshot
        assert snapshot.paused
        assert errors(session)[-1].title == "The simulation diverged"
        assert "Rewind or Reset" in errors(session)[-1].text
        assert all(np.isfinite(value).all() for value in snapshot.state)
        assert snapshot.state.time > 0.2
        plant.model.actuator_gainprm[0, 0] = 1.0
        session.rewind(0.2)
        until(lambda: session.snapshot.epoch > snapshot.epoch)
        session.resume()
        until(lambda: session.snapshot.state.time > snapshot.state.time + 0.1)
    assert list(tmp_path.iterdir()) == []  # MuJoCo wrote no log where it ran


def test_somebodys_handler_of_warnings_stays(new_session):
    def handler(text):
        raise AssertionError(text)

    mujoco.set_mju_user_warning(handler)
    try:
        with new_session():
            assert mujoco.get_mju_user_warning() is handler
    finally:
        mujoco.set_mju_user_warning(None)


def test_a_success_test_that_raises_pauses(new_session):
    task = FragileTask()
    with new_session(task) as session:
        session.wait_ready()
        task.broken = "success"
        until(lambda: errors(session))
        assert session.snapshot.paused
        assert "KeyError" in errors(session)[-1].text
        time.sleep(0.2)
        assert len(errors(session)) == 1
        task.broken = ""
        session.resume()
        begin = session.snapshot.state.time
        until(lambda: session.snapshot.state.time > begin + 0.1)


def test_a_reset_that_raises_leaves_the_episode(new_session):
    task = CartTask()
    with new_session(task) as session:
        session.wait_ready()
        until(lambda: session.snapshot.state.time > 0.1)

        def broken(rng):
            raise RuntimeError("no start today")

        task.reset = broken
        session.reset()
        until(lambda: errors(session))
        assert "no start today" in errors(session)[-1].text
        del task.reset
        session.reset()
        until(lambda: session.snapshot.state.time < 0.1)
        session.resume()
        until(lambda: session.snapshot.state.time > 0.2)


def test_memory_for_the_rollouts_is_bounded(new_session):
    with new_session() as session:
        session.set_options({"samples": 4096, "horizon": 5.0})
        with pytest.raises(OptionError, match="samples times domains of at most"):
            session.set_options({"domains": 16, "horizon": 5.0, "samples": 4096})
        assert session._desk.request.options.domains == 1


@pytest.mark.parametrize(
    "goal",
    [[0, 0], "abc", [0, 0, float("nan")], None.__class__, ["1", "2", "3"], [True] * 3, 10**400],
)
def test_bad_goals_are_refused(new_session, goal):
    session = new_session()
    before = session.snapshot.state.mocap_pos.copy()
    with pytest.raises(OptionError, match="goal position"):
        session.set_goal(goal)
    with pytest.raises(OptionError, match="goal quaternion"):
        session.set_goal(None, [0, 0, 0, 0])
    assert np.array_equal(session.snapshot.state.mocap_pos, before)


def test_a_task_without_a_goal(new_session):
    class Still(CartTask):
        goal = None

    with pytest.raises(OptionError, match="goal"):
        new_session(Still()).set_goal([0, 0, 0])
