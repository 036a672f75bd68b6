"""Task, controller and shapes change while everything keeps running."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from world import OtherTask, until

from gpc_studio.app.session import SessionError
from gpc_studio.options import OptionError


def test_the_old_controller_goes_on_while_the_new_one_compiles(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.compile_delay = 0.6
        epoch = session.snapshot.epoch
        session.set_controller("cem")
        until(lambda: session.snapshot.preparing)
        assert "cem" in session.snapshot.preparing
        before, plans = session.snapshot, len(factory.times)
        time.sleep(0.3)
        during = session.snapshot
        assert during.controller == "mppi"
        assert during.wanted_controller == "cem"
        assert during.state.time > before.state.time + 0.2
        assert len(factory.times) > plans + 3
        after = session.wait_ready()
        assert (after.controller, after.wanted_controller, after.preparing) == ("cem", "cem", "")
        assert after.epoch > epoch
        assert after.state.time > during.state.time  # the world was not reset
        until(lambda: factory.planners[0].closed)
        assert all(r.time > during.state.time for r in session.history.since()[1])


def test_shapes_change_without_a_gap(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.compile_delay = 0.3
        epoch = session.snapshot.epoch
        session.set_option("samples", 64)
        assert session.wait_ready().plan.cost.shape == (64,)
        assert session.snapshot.epoch == epoch
        assert session.snapshot.options.samples == 64
        time.sleep(0.2)
        gaps = np.diff(factory.times)
        assert gaps.max() < 0.101  # two periods of 50 ms: one instant lost to the swap at most


def test_live_values_need_no_compilation(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        for i in range(50):
            session.set_options({"rate": 20.0 + i, "temperature": 0.1 + 0.01 * i})
            session.set_weight("distance", i / 10)
        until(lambda: factory.options_seen[-1].rate == 69.0)
        until(lambda: factory.weights_seen[-1]["distance"] == 4.9)
        assert len(factory.planners) == 1
        assert session.snapshot.preparing == ""


def test_live_values_reach_the_old_planner_while_another_compiles(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.compile_delay = 0.5
        session.set_option("samples", 64)
        until(lambda: session.snapshot.preparing)
        session.set_option("temperature", 0.77)
        until(lambda: factory.options_seen[-1].temperature == 0.77)
        assert factory.options_seen[-1].samples == 8
        session.wait_ready()
        assert factory.options_seen[-1].temperature == 0.77
        assert factory.options_seen[-1].samples == 64
        assert len(factory.planners) == 2


def test_a_storm_of_shapes_compiles_little(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.compile_delay = 0.05
        for samples in range(10, 210):
            session.set_option("samples", samples)
            time.sleep(0.001)
        snapshot = session.wait_ready()
        assert snapshot.plan.cost.shape == (209,)
        assert len(factory.planners) <= 6
        until(lambda: factory.open == 1)


def test_moving_back_compiles_nothing(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.compile_delay = 0.3
        session.set_option("samples", 64)
        until(lambda: len(factory.planners) == 2)
        session.set_option("samples", 8)
        snapshot = session.wait_ready()
        assert snapshot.plan.cost.shape == (8,)
        until(lambda: factory.open == 1)
        assert not factory.planners[0].closed
        assert len(factory.planners) == 2


def test_a_task_changes(new_session, factory):
    with new_session(seed=2) as session:
        session.wait_ready()
        session.set_weight("distance", 3.0)
        until(lambda: session.snapshot.state.time > 0.1)
        factory.compile_delay = 0.3
        epoch = session.snapshot.epoch
        session.set_task("pendulum")
        until(lambda: session.snapshot.preparing)
        assert session.snapshot.task.name == "cart"
        running = session.snapshot.state.time
        until(lambda: session.snapshot.state.time > running + 0.1)
        snapshot = session.wait_ready()
        assert snapshot.task.name == "pendulum"
        assert snapshot.epoch > epoch
        assert dict(snapshot.weights) == snapshot.task.default_weights()
        assert snapshot.seed == 2
        assert snapshot.messages == ()
        until(lambda: session.snapshot.state.time > 0.1)
        with pytest.raises(OptionError, match="distance"):
            session.set_weight("distance", 3.0)


def test_options_asked_for_with_a_task_go_with_it(new_session):
    with new_session() as session:
        session.wait_ready()
        session.set_task("pendulum")
        session.set_option("samples", 21)
        session.set_option("knots", 7)
        snapshot = session.wait_ready()
        assert snapshot.task.name == "pendulum"
        assert snapshot.plan.cost.shape == (21,)
        assert snapshot.options.knots == 7


def test_unknown_names_are_refused(new_session):
    with new_session() as session:
        with pytest.raises(OptionError, match="did you mean pendulum"):
            session.set_task("pendulumm")
        with pytest.raises(OptionError, match="did you mean mppi"):
            session.set_controller("mpi")
        for bad in (None, 3, ["mppi"], float("nan")):
            with pytest.raises(OptionError, match="controller"):
                session.set_controller(bad)
            with pytest.raises(OptionError, match="task"):
                session.set_task(bad)
        session.wait_ready()
        assert session.snapshot.controller == "mppi"


def test_a_storm_of_controllers_and_tasks(new_session, factory):
    factory.compile_delay = 0.02
    with new_session() as session:
        names = ("mppi", "cem", "predictive_sampling")
        for i in range(60):
            session.set_controller(names[i % 3])
            if i % 10 == 0:
                session.set_task(("pendulum", "cart_pole")[i // 10 % 2])
            time.sleep(0.003)
        session.set_task("pendulum")
        session.set_controller("cem")
        snapshot = session.wait_ready()
        assert (snapshot.task.name, snapshot.controller) == ("pendulum", "cem")
        until(lambda: factory.open == 1)
        assert [m for m in snapshot.messages if m.level == "error"] == []
        begin = session.snapshot.state.time
        until(lambda: session.snapshot.state.time > begin + 0.1)


def test_what_cannot_be_compiled_leaves_the_old_one(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        session.set_option("temperature", 0.5)
        factory.refuse = {99}
        session.set_option("samples", 99)
        with pytest.raises(SessionError, match="no room for 99"):
            session.wait_ready()
        snapshot = session.snapshot
        assert snapshot.options.samples == 8
        assert snapshot.options.temperature == 0.5  # what did not need compiling stays
        assert not snapshot.paused
        assert "no room for 99" in snapshot.messages[-1].text
        assert "goes on" in snapshot.messages[-1].text
        until(lambda: session.snapshot.state.time > snapshot.state.time + 0.1)
        assert session.wait_ready().plan.cost.shape == (8,)


def test_a_first_controller_that_fails_leaves_a_session_to_repair(new_session, factory):
    factory.refuse = {8}
    with new_session() as session:
        with pytest.raises(SessionError, match="no room for 8"):
            session.wait_ready()
        assert session.snapshot.paused
        assert session.snapshot.plan is None
        assert len(factory.planners) == 0
        factory.refuse = set()
        session.reset()
        session.wait_ready()
        until(lambda: session.snapshot.state.time > 0.1)


def test_resetting_while_a_task_is_prepared(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        factory.compile_delay = 0.3
        session.set_task("pendulum")
        until(lambda: len(factory.planners) == 2)
        session.reset(9)
        snapshot = session.wait_ready()
        assert snapshot.task.name == "pendulum"
        assert snapshot.seed == 9
        with new_session(snapshot.task, seed=9) as other:
            expected = other.snapshot.state.qpos
        session.pause()
        session.rewind(10.0)
        until(lambda: session.snapshot.paused and session.snapshot.state.time == 0)
        assert np.array_equal(session.snapshot.state.qpos, expected)


def test_a_task_that_cannot_be_reset_leaves_the_old_one(new_session, factory):
    class Moody(OtherTask):
        def reset(self, rng):
            if rng.bit_generator.seed_seq.entropy == 9:
                raise RuntimeError("no start today")
            return super().reset(rng)

    with new_session() as session:
        old = session.wait_ready().task
        factory.compile_delay = 0.3
        session._desk.want_task(Moody())
        session._stir()
        until(lambda: len(factory.planners) == 2)
        session._desk.want_session(seed=9)  # it was prepared with another
        with pytest.raises(SessionError, match="no start today"):
            session.wait_ready()
        factory.compile_delay = 0.0
        assert session.snapshot.task is old
        begin = session.snapshot.state.time
        until(lambda: session.snapshot.state.time > begin + 0.1)  # the old one goes on
        session.set_controller("cem")
        assert session.wait_ready().controller == "cem"


def test_stopping_while_compiling(new_session, factory):
    factory.compile_delay = 0.3
    session = new_session().start()
    until(lambda: factory.planners)
    told = []

    def wait():
        try:
            session.wait_ready()
        except SessionError as error:
            told.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.05)
    session.stop()
    waiting.join(5)
    assert told == ["The session was stopped."]
    assert factory.open == 0


def test_planners_work_in_one_thread(new_session, factory):
    with new_session() as session:
        session.wait_ready()
        session.set_mode("lock-step")
        session.run(0.5)
        session.set_controller("cem")
        session.run(0.5)
    assert {name for p in factory.planners for name in p.threads} == {"gpc-studio planner"}


def test_rewind_across_a_change_of_controller(new_session):
    with new_session(mode="lock-step", paused=True) as session:
        session.run(0.5)
        session.set_controller("cem")
        session.run(0.5)
        session.rewind(0.7)
        until(lambda: session.snapshot.state.time < 0.4)
        snapshot = session.run(0.3)
        assert snapshot.controller == "cem"


def test_a_task_object_of_another_kind(new_session):
    with new_session(OtherTask()) as session:
        session.wait_ready()
        assert dict(session.snapshot.weights) == {"other": 2.0}
