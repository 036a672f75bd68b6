from __future__ import annotations

import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
from world import CartTask, session_threads, until

from gpc_studio.app.session import Session, SessionError
from gpc_studio.options import OptionError


def test_there_is_a_snapshot_from_the_start(new_session):
    session = new_session(seed=4)
    first = session.snapshot
    assert first.plan is None
    assert (first.seed, first.mode, first.paused, first.controller) == (4, "real-time", 0, "mppi")
    assert first.state.sensordata[0] == first.state.qpos[0]
    assert session_threads() == []


def test_runs_in_real_time(new_session):
    with new_session() as session:
        first = session.wait_ready()
        assert first.plan is not None
        begin, wall = float(session.snapshot.state.time), time.perf_counter()
        time.sleep(1.0)
        passed = float(session.snapshot.state.time) - begin
        wall = time.perf_counter() - wall
        timing = session.snapshot.timing
        assert passed == pytest.approx(wall, rel=0.15)
        assert timing.real_time_factor == pytest.approx(1.0, abs=0.15)
        assert timing.asked_rate == 20
        assert timing.achieved_rate == pytest.approx(20, rel=0.2)
        assert timing.plan.total == pytest.approx(0.01)
        assert 0 <= timing.plan_age <= 0.1


@pytest.mark.parametrize("speed", [0.25, 4.0])
def test_speed(new_session, speed):
    with new_session(speed=speed) as session:
        session.wait_ready()
        begin, wall = float(session.snapshot.state.time), time.perf_counter()
        time.sleep(0.8)
        factor = (float(session.snapshot.state.time) - begin) / (time.perf_counter() - wall)
        assert factor == pytest.approx(speed, rel=0.25)
        session.set_speed(1.0)
        until(lambda: session.snapshot.speed == 1.0)


@pytest.mark.parametrize("mode", ["real-time", "lock-step"])
def test_pause_step_and_resume(new_session, mode):
    with new_session(mode=mode) as session:
        session.wait_ready()
        session.pause()
        until(lambda: session.snapshot.paused)
        stood = session.snapshot
        time.sleep(0.1)
        assert session.snapshot.state.time == stood.state.time
        session.step()
        until(lambda: session.snapshot.state.time > stood.state.time)
        until(lambda: session.snapshot.timing.real_time_factor == 0)
        time.sleep(0.1)
        steps = round(float(session.snapshot.state.time - stood.state.time) / 0.01)
        assert steps == 5 if mode == "real-time" else 1 <= steps <= 5
        assert session.snapshot.paused
        session.toggle_pause()
        until(lambda: not session.snapshot.paused)
        until(lambda: session.snapshot.state.time > stood.state.time + 0.1)


def test_lock_step_steps_are_periods(new_session):
    with new_session(mode="lock-step", paused=True) as session:
        session.wait_ready()
        for count in range(1, 5):
            session.step()
            until(lambda count=count: session.snapshot.state.time > 0.05 * count - 1e-9)
        time.sleep(0.05)
        assert session.snapshot.state.time == pytest.approx(0.2)
        assert session.snapshot.paused


def test_reset_repeats_or_changes_the_seed(new_session):
    with new_session(mode="lock-step", paused=True, seed=7) as session:
        start = session.snapshot.state.qpos.copy()
        session.run(0.5)
        epoch = session.snapshot.epoch
        session.reset()
        until(lambda: session.snapshot.epoch > epoch)
        assert session.snapshot.state.time == 0
        assert np.array_equal(session.snapshot.state.qpos, start)
        epoch = session.snapshot.epoch
        session.reset(8)
        until(lambda: session.snapshot.epoch > epoch)
        assert session.snapshot.seed == 8
        assert not np.array_equal(session.snapshot.state.qpos, start)
        session.run(0.1)
        assert all(record.time < 0.1 for record in session.history.since()[1])
        with pytest.raises(OptionError, match="seed"):
            session.reset(-1)


def test_an_episode_waits_for_its_first_plan(new_session, factory):
    factory.gate = threading.Event()
    with new_session() as session:
        until(lambda: factory.times)
        time.sleep(0.1)
        assert session.snapshot.state.time == 0
        factory.gate.set()
        until(lambda: session.snapshot.state.time > 0.05)


def test_rewind_goes_back_and_on(new_session):
    with new_session(mode="lock-step", paused=True) as session:
        session.run(2.0)
        there = session.run(1.0)
        session.rewind(1.0)
        until(lambda: session.snapshot.epoch > there.epoch)
        back = session.snapshot
        assert back.state.time == pytest.approx(2.0)
        assert back.paused
        assert session.history.since()[1][-1].time < 2.0 + 1e-9
        again = session.run(1.0)
        assert np.array_equal(again.state.qpos, there.state.qpos)
        assert np.array_equal(again.plan.cost, there.plan.cost)  # the memory went back too


def test_rewind_is_clamped(new_session):
    with new_session(mode="lock-step", paused=True) as session:
        session.rewind(5.0)  # nothing to go back to yet
        session.run(0.5)
        session.rewind(9.0)
        until(lambda: session.snapshot.state.time < 1e-9)
        session.run(12.0)
        session.rewind(10.0)
        until(lambda: session.snapshot.state.time < 11.0)
        assert session.snapshot.state.time == pytest.approx(2.0)
        for bad in (11.0, -1.0, float("nan"), "1"):
            with pytest.raises(OptionError, match="rewind"):
                session.rewind(bad)


def test_rewind_while_running(new_session):
    with new_session(speed=4.0) as session:
        session.wait_ready()
        until(lambda: session.snapshot.state.time > 2.0)
        epoch = session.snapshot.epoch
        session.rewind(1.5)
        until(lambda: session.snapshot.epoch > epoch)
        assert session.snapshot.state.time < 1.5
        assert not session.snapshot.paused
        until(lambda: session.snapshot.state.time > 2.0)


def test_run_in_real_time_restores_the_pause(new_session):
    with new_session(paused=True, speed=4.0) as session:
        snapshot = session.run(0.5)
        assert snapshot.state.time == pytest.approx(0.5)
        time.sleep(0.05)
        assert session.snapshot.state.time == pytest.approx(0.5)
        session.resume()
        begin = session.snapshot.state.time
        session.run(0.3)
        until(lambda: session.snapshot.state.time > begin + 0.4)


def test_run_is_interrupted_by_a_reset(new_session):
    with new_session() as session:
        session.wait_ready()
        threading.Timer(0.1, session.reset).start()
        with pytest.raises(SessionError, match="reset"):
            session.run(60.0)


def test_run_in_lock_step_is_exact_and_adds_up(new_session):
    with new_session(mode="lock-step") as session:
        assert session.run(0.33).state.time == pytest.approx(0.33)
        time.sleep(0.05)
        assert session.run(0.33).state.time == pytest.approx(0.66)
        assert session.snapshot.paused


def test_run_outlasts_its_timeout(new_session, factory):
    factory.delay = 0.05
    with new_session(mode="lock-step") as session:
        with pytest.raises(TimeoutError):
            session.run(100.0, timeout=0.3)


def test_weights_and_goal_reach_the_plans(new_session, factory):
    with new_session(mode="lock-step", paused=True) as session:
        session.run(0.2)
        session.set_weight("distance", 2.5)
        session.set_goal([0.9, 5.0, 5.0], [1, 0, 0, 1])
        snapshot = session.run(2.0)
        assert factory.weights_seen[-1] == {"distance": 2.5, "effort": 0.1}
        assert np.allclose(snapshot.state.mocap_pos[0], [0.9, 0, 0.2])
        assert np.allclose(snapshot.state.mocap_quat[0], np.sqrt([0.5, 0, 0, 0.5]))
        assert snapshot.state.qpos[0] == pytest.approx(0.9, abs=0.1)
        assert snapshot.success
        assert snapshot.weights["distance"] == 2.5


def test_a_paused_plan_follows_the_values(new_session, factory):
    with new_session(paused=True) as session:
        session.wait_ready()
        before = session.snapshot.plan
        session.set_goal([-0.8, 0, 0])
        until(lambda: session.snapshot.plan is not before)
        assert session.snapshot.plan.controls[0, 0] < before.controls[0, 0]
        assert session.snapshot.state.time == 0


def test_push_and_release(new_session):
    with new_session(paused=True, mode="lock-step") as session:
        session.run(0.1)
        x = session.snapshot.state.qpos[0]
        session.push(1, [x, 0, 0.2], [-5.0, 0, 0])
        until(lambda: session.snapshot.push is not None)
        assert np.allclose(session.snapshot.push[1], [-5, 0, 0])
        session.release_push()
        until(lambda: session.snapshot.push is None)
        for bad in (0, 2, 99, "cart", None, 1.5):  # the world, the goal, nothing
            with pytest.raises(OptionError, match="push body"):
                session.push(bad, [0, 0, 0], [1, 0, 0])
        with pytest.raises(OptionError, match="push force"):
            session.push(1, [0, 0, 0], [float("nan"), 0, 0])
        for bad in ([np.inf, 0, 0], [0, 0], "here"):
            with pytest.raises(OptionError, match="push point: expected 3 finite numbers"):
                session.push(1, bad, [1, 0, 0])
        # Where the body is now counts, not where it was when the model was made.
        model = session.snapshot.task.model
        session.push(1, [x + 0.9 * model.stat.extent, 0, 0.2], [1, 0, 0])
        with pytest.raises(
            OptionError, match=f"expected a point within .* m of {model.body(1).name}"
        ):
            session.push(1, [x + 1e6, 0, 0.2], [1, 0, 0])


def test_messages(new_session):
    with new_session() as session:
        session.notify("info", "Hello", "there")
        until(lambda: session.snapshot.messages)
        message = session.snapshot.messages[-1]
        assert (message.level, message.title, message.text) == ("info", "Hello", "there")
        with pytest.raises(OptionError, match="level"):
            session.notify("loud", "Hello", "there")
        for i in range(100):
            session.notify("info", "Again", str(i))
        until(lambda: session.snapshot.messages[-1].text == "99")
        assert len(session.snapshot.messages) <= 30


def test_mode_can_change_while_running(new_session):
    with new_session() as session:
        session.wait_ready()
        for mode in ("lock-step", "real-time", "lock-step"):
            session.set_mode(mode)
            until(lambda mode=mode: session.snapshot.mode == mode)
            begin = session.snapshot.state.time
            until(lambda begin=begin: session.snapshot.state.time > begin + 0.2)


def test_a_slow_planner_is_told_honestly(new_session, factory):
    factory.delay = 0.12
    with new_session() as session:
        session.wait_ready()
        time.sleep(1.5)
        timing = session.snapshot.timing
        assert timing.asked_rate == 20
        assert 5 < timing.achieved_rate < 10
        assert timing.dropped_plans > 5
        assert timing.real_time_factor == pytest.approx(1, abs=0.15)
    assert session.snapshot.messages == ()


def test_stop_is_idempotent_and_final(new_session):
    session = new_session()
    with session:
        session.wait_ready()
        assert len(session_threads()) == 3
        with pytest.raises(SessionError, match="stopped"):
            threading.Timer(0.1, session.stop).start()
            session.run(60.0)
    session.stop()
    assert session_threads() == []
    session.pause()
    session.set_weight("distance", 1.0)
    with pytest.raises(RuntimeError, match="stopped"):
        session.start()


def test_who_comes_while_it_stops_does_not_wait_for_ever(new_session):
    with new_session(mode="lock-step") as session:
        session.wait_ready()
        plant, future = session._plant, Future()
        close = plant._mail.close

        def close_after_one_more() -> None:
            assert plant.post(lambda: plant.run(1.0, future))
            close()

        plant._mail.close = close_after_one_more  # the loop has ended
        session.stop()
        with pytest.raises(SessionError, match="stopped"):
            future.result(5)
        assert not plant.post(lambda: plant.run(1.0, future))
        with pytest.raises(SessionError, match="stopped"):
            plant.wait_ready(lambda: True).result(5)


@pytest.mark.parametrize("seconds", [1e300, -1.0, float("nan"), "long"])
def test_a_length_that_makes_no_sense_is_refused(new_session, seconds):
    with new_session(mode="lock-step") as session, pytest.raises(OptionError, match="run"):
        session.run(seconds, timeout=5)


def test_never_started(new_session):
    session = new_session()
    session.pause()
    assert session.snapshot.paused
    session.stop()


def test_no_threads_are_left(new_session):
    for _ in range(10):
        with new_session() as session:
            session.wait_ready()
    assert session_threads() == []


@pytest.mark.parametrize(
    "bad",
    [
        {"controller": "magic"},
        {"mode": "warp"},
        {"speed": 9.0},
        {"seed": -1},
        {"options": {"samples": 0}},
        {"options": {"nonsense": 0}},
        {"weights": {"distance": -3}},
        {"weights": {"nonsense": 1}},
    ],
)
def test_a_bad_start_is_refused(bad):
    with pytest.raises(OptionError) as told:
        Session(CartTask(), **bad)
    value = next(iter(bad.values()))
    name = next(iter(value)) if isinstance(value, dict) else next(iter(bad))
    assert name in str(told.value)


def test_what_a_plan_does_not_depend_on_makes_no_plan(new_session, factory):
    with new_session(paused=True) as session:
        session.wait_ready()
        time.sleep(0.05)
        plans = len(factory.times)
        session.set_speed(2.0)
        session.set_weight("distance", session.snapshot.weights["distance"])
        session.notify("info", "a", "b")
        until(lambda: session.snapshot.messages and session.snapshot.speed == 2.0)
        time.sleep(0.05)
        assert len(factory.times) == plans
