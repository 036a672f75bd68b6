"""Trained policies in a session: taken, swapped, missing and broken."""

from __future__ import annotations

import time

import numpy as np
import pytest
from policies import add_policy, use_library
from world import session_threads, until

from gpc_studio.app.session import Session, SessionError
from gpc_studio.app.session.desk import Desk, SessionOptions
from gpc_studio.options import OptionError
from gpc_studio.scenes import load_task

pytestmark = pytest.mark.usefixtures("compile_once")

SMALL = {"samples": 8, "flow_steps": 2}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    use_library(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def task():
    return load_task("pendulum")


@pytest.fixture
def new_session(task):
    """Makes sessions with real planners; afterwards all threads must be gone."""
    made = []

    def make(controller="gpc", options=SMALL, **settings):
        session = Session(task, controller, options=options, **settings)
        made.append(session)
        return session

    yield make
    for session in made:
        session.stop()
    assert session_threads() == []


def planner_of(session):
    return session._desk.pilot.planner


def errors(session):
    return [m for m in session.snapshot.messages if m.level != "info"]


def test_a_policy_alone_acts_without_rollouts(task, new_session):
    add_policy(task, "pendulum")
    with new_session(mode="lock-step") as session:
        snapshot = session.run(1.0)
        assert snapshot.options.checkpoint == "pendulum"
        assert not snapshot.plan.rolled_out and np.isnan(snapshot.plan.cost).all()
        assert errors(session) == []
        columns = session.history.arrays()
        assert len(columns["time"]) >= 50 and np.isnan(columns["best"]).all()
        assert (columns["timing"][:, 1:] == 0).all() and (columns["timing"][:, 0] > 0).all()
        assert np.ptp(snapshot.plan.controls) > 0
        state = snapshot.state.qpos
        session.rewind(0.4)
        until(lambda: session.snapshot.state.time < 0.61)
        np.testing.assert_array_equal(session.run(0.4).state.qpos, state)


def test_rollouts_are_drawn_when_asked_for_and_change_nothing(task, new_session):
    add_policy(task, "pendulum")
    with new_session(mode="lock-step") as alone, new_session(mode="lock-step") as shown:
        shown.set_option("show_rollouts", True)
        a, b = alone.run(0.3), shown.run(0.3)
        assert b.plan.rolled_out and b.plan.traces.shape[0] == 8
        assert np.isfinite(b.plan.cost).all()
        np.testing.assert_allclose(a.state.qpos, b.state.qpos, atol=1e-5)


def test_another_policy_takes_over_at_once(task, new_session):
    for seed, name in enumerate(("pendulum", "second", "third")):
        add_policy(task, name, seed)
    with new_session() as session:
        session.wait_ready()
        code = planner_of(session)._stages.act
        taken, fewest = [], []
        for name in ("second", "third", "pendulum", "second"):
            before = session.snapshot
            began = time.perf_counter()
            session.set_option("checkpoint", name)
            after = session.wait_ready()
            taken.append(time.perf_counter() - began)
            assert after.options.checkpoint == name
            assert after.epoch == before.epoch
            # Nothing was compiled, and the plant did not wait.
            assert planner_of(session)._stages.act is code and code._cache_size() == 1
            fewest.append((after.state.time - before.state.time) / taken[-1])
        assert min(taken) < 0.2
        assert max(fewest) > 0.7
        assert errors(session) == []


def test_the_new_policy_is_used_and_goes_on_from_the_last_plan(task, new_session):
    add_policy(task, "pendulum", 0)
    add_policy(task, "second", 1)
    with new_session(mode="lock-step", paused=True) as session:
        session.run(0.5)
        pilot = session._desk.pilot
        session.set_option("checkpoint", "second")
        session.wait_ready()
        new = session._desk.pilot
        assert new is not pilot and new.family is pilot.family
        weights = [p.planner._proposals[0].parameters["policy"].weights for p in (pilot, new)]
        assert np.abs(np.asarray(weights[0]["output"]["kernel"])
                      - np.asarray(weights[1]["output"]["kernel"])).max() > 0.1  # fmt: skip
        # The memory is still that of the first: so one can go back beyond the swap.
        session.run(0.1)
        session.rewind(0.4)
        until(lambda: session.snapshot.state.time < 0.25)
        assert session._plant.episode._memory is not None
        session.run(0.1)


def test_another_architecture_is_compiled_while_the_old_one_goes_on(task, new_session):
    add_policy(task, "pendulum")
    add_policy(task, "wide", width=16)
    with new_session() as session:
        before = session.wait_ready()
        code = planner_of(session)._stages.act
        session.set_option("checkpoint", "wide")
        until(lambda: session.snapshot.preparing)
        after = session.wait_ready()
        assert planner_of(session)._stages.act is not code
        assert after.state.time > before.state.time
        assert errors(session) == []


def test_what_differs_in_the_plans_of_two_policies_is_taken_over(task, new_session):
    add_policy(task, "pendulum")
    add_policy(task, "short", horizon=0.5, knots=5)
    with new_session(options={**SMALL, "spline": "cubic"}, paused=True) as session:
        session.wait_ready()
        session.set_option("checkpoint", "short")
        options = session.wait_ready().options
        assert (options.horizon, options.knots, options.spline) == (0.5, 5, "cubic")
        session.set_options({"checkpoint": "pendulum", "knots": 4})
        options = session.wait_ready().options
        assert (options.horizon, options.knots, options.spline) == (1.0, 4, "cubic")


def test_a_broken_file_leaves_the_old_policy(task, new_session):
    add_policy(task, "pendulum")
    broken = add_policy(task, "broken", 1)
    content = bytearray(broken.read_bytes())
    content[-3] ^= 255  # a weight is not what it was
    broken.write_bytes(content)
    with new_session() as session:
        session.wait_ready()
        session.set_option("checkpoint", "broken")
        with pytest.raises(SessionError, match="broken"):
            session.wait_ready()
        snapshot = session.wait_ready()
        assert snapshot.options.checkpoint == "pendulum" and not snapshot.paused
        (message,) = errors(session)
        assert "What was running goes on" in message.text and "\n" not in message.text
        begin = snapshot.state.time
        until(lambda: session.snapshot.state.time > begin + 0.1)


def test_a_task_without_a_policy_keeps_the_old_controller(task, new_session):
    with new_session("mppi", {"samples": 8}) as session:
        session.wait_ready()
        session.set_controller("gpc")
        with pytest.raises(SessionError, match="no policy for task pendulum yet: `gpc-"):
            session.wait_ready()
        assert session.wait_ready().controller == "mppi"
        assert len(errors(session)) == 1
    add_policy(task, "pendulum")
    with new_session() as session:
        session.wait_ready()
        session.set_task("cart_pole")
        with pytest.raises(SessionError, match="no policy for task cart_pole yet"):
            session.wait_ready()
        assert session.wait_ready().task is task


def test_commands_take_names_only_and_the_constructor_a_file(task, new_session, folder):
    path = add_policy(task, "pendulum")
    add_policy(load_task("cart_pole"), "cart")
    moved = folder / "mine.safetensors"
    path.rename(moved)
    with new_session(options={**SMALL, "checkpoint": str(moved)}) as session:
        session.wait_ready()
        for value in (str(path), "../pendulum", "cart", "", "nobody"):
            with pytest.raises(OptionError, match="checkpoint: expected"):
                session.set_option("checkpoint", value)
        session.set_option("checkpoint", str(moved))  # as it is
        assert errors(session) == []
    with pytest.raises(SessionError, match=r"cannot be read|No such file|does not exist"):
        new_session(options={"checkpoint": str(path)}).wait_ready()


@pytest.mark.parametrize("reload", [False, True])
def test_names_asked_for_while_a_task_is_loaded_are_checked_then(task, reload):
    path = add_policy(task, "pendulum")
    add_policy(task, "short", 1, horizon=0.5)
    desk = Desk(
        source="pendulum", task=task, controller="gpc", options={}, weights={},
        session=SessionOptions(),
    )  # fmt: skip
    desk.want_task("pendulum", reload=reload)
    desk.want_options({"checkpoint": str(path)})
    with pytest.raises(OptionError, match="checkpoint: expected one of"):
        desk.loaded(desk.request.number, task)
    desk.want_options({"checkpoint": "pendulum"})
    assert desk.loaded(desk.request.number, task).options.checkpoint == "pendulum"
    desk.want_task("pendulum", reload=reload)
    desk.want_options({"checkpoint": "short", "flow_steps": 3})
    options = desk.loaded(desk.request.number, task).options
    assert (options.checkpoint, options.horizon, options.flow_steps) == ("short", 0.5, 3)


def test_a_new_policy_is_offered_soon(task, new_session):
    add_policy(task, "pendulum")
    with new_session() as session:
        session.wait_ready()
        until(lambda: session.snapshot.choices == {"checkpoint": ("pendulum",)})
        add_policy(task, "fresh", 1)
        until(lambda: session.snapshot.choices["checkpoint"] == ("pendulum", "fresh"), timeout=3)
        session.set_option("checkpoint", "fresh")
        assert session.wait_ready().options.checkpoint == "fresh"
        session.set_controller("mppi")
        session.wait_ready()
        until(lambda: session.snapshot.choices == {})
