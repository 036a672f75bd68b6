"""Sliders in motion never hold up the plans."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pytest
from world import until

from gpc_studio.app.session import Session
from gpc_studio.options import OptionError


def test_slider_storms_leave_no_gap(new_session, factory):
    factory.delay = 0.005
    with new_session() as session:
        session.wait_ready()
        stop = threading.Event()

        def drag(command):
            i = 0
            while not stop.is_set():
                command(i % 100)
                i += 1
                time.sleep(0.001)

        hands = [
            threading.Thread(target=drag, args=(command,))
            for command in (
                lambda i: session.set_weight("distance", i / 20),
                lambda i: session.set_option("temperature", 0.01 + i / 100),
                lambda i: session.set_option("noise", 0.1 + i / 200),
                lambda i: session.set_goal([i / 100, 0, 0]),
                lambda i: session.set_speed(1.0 + i / 1000),
            )
        ]
        for hand in hands:
            hand.start()
        time.sleep(1.5)
        stop.set()
        for hand in hands:
            hand.join()
        assert len(factory.planners) == 1
        times = np.array(factory.times)
        assert len(times) > 20
        assert np.median(np.diff(times)) == pytest.approx(0.05)
        # One period late at most; a busy machine may be late once in a while.
        assert np.mean(np.diff(times) > 0.1001) <= 0.05
        assert session.snapshot.messages == ()


def test_a_storm_cannot_hold_lock_step(new_session, factory):
    """Plans are made again for wishes at rest only, so that a storm cannot stop the clock."""
    with new_session(mode="lock-step", speed=4.0) as session:
        session.wait_ready()
        begin = session.snapshot.state.time
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            session.set_weight("distance", time.monotonic() % 10)
        passed = session.snapshot.state.time - begin
        assert passed > 0.5
        assert len(factory.times) <= passed / 0.05 + 5


def test_storms_of_everything(new_session, factory):
    with new_session(speed=4.0) as session:
        session.wait_ready()

        def hammer(seed):
            rng = np.random.default_rng(seed)
            for _ in range(150):
                kind = rng.integers(9)
                if kind == 0:
                    session.reset(int(rng.integers(100)))
                elif kind == 1:
                    session.rewind(float(rng.uniform(0, 10)))
                elif kind == 2:
                    session.toggle_pause()
                elif kind == 3:
                    session.step()
                elif kind == 4:
                    session.set_mode(("real-time", "lock-step")[rng.integers(2)])
                elif kind == 5:
                    x = float(session.snapshot.state.qpos[0])
                    with contextlib.suppress(OptionError):  # a reset may have come between
                        session.push(1, [x, 0.0, 0.2], 10 * rng.normal(size=3))
                        pushed.append(seed)
                elif kind == 6:
                    session.set_controller(("mppi", "cem")[rng.integers(2)])
                elif kind == 7:
                    session.set_goal(rng.normal(size=3))
                else:
                    session.set_option("samples", int(rng.integers(2, 40)))
                time.sleep(rng.exponential(0.003))
            ended.append(1)

        pushed, ended = [], []
        hands = [threading.Thread(target=hammer, args=(seed,)) for seed in range(3)]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        assert set(pushed) == {0, 1, 2} and ended == [1, 1, 1]
        session.release_push()
        session.set_mode("real-time")
        session.resume()
        session.reset(1)
        snapshot = session.wait_ready()
        assert [m for m in snapshot.messages if m.level == "error"] == []
        until(lambda: session.snapshot.state.time > 0.3)
        until(lambda: factory.open == 1)


def test_sliders_compile_nothing_in_a_real_planner():
    import jax.monitoring

    compiled = []

    def listen(event, duration, **facts):
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    with Session("pendulum", "mppi", options={"rate": 10.0}) as session:
        session.wait_ready()
        assert compiled  # the listener hears compilations
        planner = session._plant.episode.pilot.planner
        before = session.history.since()[0]
        weights = list(session.snapshot.weights)
        compiled.clear()
        for i in range(60):
            session.set_weight(weights[i % len(weights)], 0.01 + i / 100)
            session.set_options({"noise": 0.1 + i / 100, "temperature": 0.1 + i / 100})
            session.set_option("risk_metric", ("mean", "worst", "cvar")[i % 3])
            time.sleep(0.01)
        until(lambda: session.history.since()[0] > before + 5)
        assert compiled == []
        assert session._plant.episode.pilot.planner is planner
        assert session.snapshot.messages == ()
