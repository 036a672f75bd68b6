"""The whole front end on a fake session, without a browser."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fake_session import FakeSession
from test_security import CAMERA, PROTOCOL, converse
from websockets.asyncio.client import connect

from gpc_studio.app.web import frontend as frontend_module
from gpc_studio.app.web.frontend import WebFrontend
from gpc_studio.app.web.panels.weights import _terms


@pytest.fixture
def session():
    session = FakeSession()
    session.advance()
    return session


@pytest.fixture
def frontend(session):
    with WebFrontend(session, port=0) as frontend:
        wait_until(lambda: frontend._view is not None)
        yield frontend


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def inputs(frontend):
    handles = frontend._viser.gui._gui_input_handle_from_uuid.values()
    return {handle.label: handle for handle in handles if hasattr(handle, "label")}


def press(frontend, session, label, value=True):
    """Sends what a page sends when a person uses a control."""
    handle = inputs(frontend)[label]
    before = len(session.commands)
    message = {"type": "GuiUpdateMessage", "uuid": handle._impl.uuid, "updates": {"value": value}}
    converse(frontend._server, [CAMERA, message], lambda: len(session.commands) > before)


def trigger(frontend, session, label):
    """Sends what a page sends when a shortcut is pressed."""
    commands = frontend._viser.gui._command_handle_from_uuid
    uuid = next(uuid for uuid, handle in commands.items() if handle.label.startswith(label))
    before = len(session.commands)
    message = {"type": "CommandTriggerMessage", "uuid": uuid}
    converse(frontend._server, [CAMERA, message], lambda: len(session.commands) > before)


def test_labels_are_those_that_the_manual_names(frontend):
    labels = set(inputs(frontend))
    assert {"Task", "Controller", "Risk metric"} <= labels
    assert {"Samples", "Horizon", "Domains", "Speed"} <= labels
    assert {"Pause", "Step", "Reset", "Rewind"} <= labels
    kinds = {label: type(handle).__name__ for label, handle in inputs(frontend).items()}
    for label in ("Task", "Controller", "Risk metric"):
        assert kinds[label] == "GuiDropdownHandle"
    for label in ("Samples", "Horizon", "Domains", "Speed"):
        assert kinds[label] == "GuiSliderHandle"
    for label in ("Pause", "Step", "Reset", "Rewind"):
        assert kinds[label] == "GuiButtonHandle"


def test_buttons_command_the_session(frontend, session):
    press(frontend, session, "Pause")
    assert session.commands == [("toggle_pause",)]
    wait_until(lambda: "Resume" in inputs(frontend))
    press(frontend, session, "Step")
    press(frontend, session, "Reset")
    press(frontend, session, "Rewind")
    assert session.commands[1:] == [("step",), ("reset", None), ("rewind", 1.0)]


def test_step_while_running_pauses(frontend, session):
    press(frontend, session, "Step")
    assert session.commands == [("pause",)]


def test_slider_sets_an_option_and_a_weight(frontend, session):
    press(frontend, session, "Samples", 64)
    press(frontend, session, "distance", 2.5)
    press(frontend, session, "Speed", 0.5)
    assert session.commands == [
        ("set_option", "samples", 64), ("set_weight", "distance", 2.5), ("set_speed", 0.5),
    ]  # fmt: skip
    assert session.snapshot.options.samples == 64


def test_shortcuts_command_the_session(frontend, session):
    for label in ("Pause", "Reset", "Rewind", "Controller: cem"):
        trigger(frontend, session, label)
    assert session.commands == [
        ("toggle_pause",), ("reset", None), ("rewind", 1.0), ("set_controller", "cem"),
    ]  # fmt: skip


def test_every_named_controller_has_a_digit(frontend):
    commands = frontend._viser.gui._command_handle_from_uuid.values()
    digits = {c.hotkey: c.label for c in commands if c.label.startswith("Controller: ")}
    assert list(digits)[:5] == ["1", "2", "3", "4", "5"]
    assert {c.hotkey for c in commands} >= {"space", ".", "R", "Z", "G"}
    assert len({c.hotkey for c in commands}) == len(commands)
    # The page itself moves the camera while one of these is held.
    assert not {c.hotkey for c in commands} & set("WASDQE")


def test_another_controller_brings_its_own_options(frontend, session):
    assert "Elites" not in inputs(frontend)
    press(frontend, session, "Controller", "cem")
    wait_until(lambda: any("lite" in label for label in inputs(frontend)))
    assert inputs(frontend)["Controller"].value == "cem"


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.filterwarnings("error")
def test_a_term_that_is_not_finite_has_no_bar_and_leaves_the_others_theirs(session, bad):
    plan = session.snapshot.plan
    plan.cost_terms[plan.best] = [bad, 3.0]
    content = _terms(session.snapshot)
    assert re.findall(r"width:([^%]*)%", content) == ["0.0", "100.0"]
    assert re.findall(r"<b>(.*?)</b>", content) == ["–", "3"]


def test_another_task_brings_its_own_world_weights_and_charts(frontend, session):
    before = frontend._view
    session.set_task("ramp")
    wait_until(lambda: frontend._view is not before and frontend._view is not None)
    wait_until(lambda: "height" in inputs(frontend))
    assert frontend._view.task is session.snapshot.task
    wait_until(lambda: len(frontend._page._charts._terms.chart.handle.series) == 4)
    names = set(frontend._viser.scene._handle_from_node_name)
    session.set_task("cart")
    wait_until(lambda: frontend._view is not None and frontend._view.task.name == "cart")
    time.sleep(0.2)
    later = set(frontend._viser.scene._handle_from_node_name)
    assert {name.replace("/view3", "/view2") for name in later} == names


def test_refused_task_leaves_everything_and_says_so(frontend, session):
    handle = inputs(frontend)["Task"]
    shown = []
    frontend._viser.on_client_connect(_collect_notifications(shown))
    message = {"type": "GuiUpdateMessage", "uuid": handle._impl.uuid, "updates": {"value": "nope"}}
    converse(frontend._server, [CAMERA, message], lambda: shown)
    assert "nope" in shown[0][1]
    assert handle.value == "cart"
    assert session.snapshot.task.name == "cart"


def _collect_notifications(shown):
    async def connected(client):
        client.add_notification = lambda *arguments, **options: shown.append(arguments)

    return connected


def test_a_users_own_task_stays_in_the_dropdown(session, monkeypatch):
    asked = session.commands
    monkeypatch.setattr(session, "set_task", lambda task: asked.append(("set_task", task)))
    with WebFrontend(session, port=0) as frontend:
        assert "cart" in inputs(frontend)["Task"].options
        press(frontend, session, "Task", "pendulum")
        press(frontend, session, "Task", "cart")
    own_file = Path(__file__).with_name("fake_session.py")
    assert asked == [("set_task", "pendulum"), ("set_task", own_file)]


def test_messages_are_kept_in_a_line(frontend, session):
    session.say("error", "Diverged", "The state is <not> finite: press Reset.")
    line = frontend._page._panels[4]._line
    wait_until(lambda: line.visible)
    assert "Diverged" in line.content and "&lt;not&gt;" in line.content


def test_state_line_shows_pause_success_progress_and_preparation(frontend, session):
    session.change(
        paused=True, success=True, progress={"coverage": 0.93}, preparing="compiling cem"
    )
    line = frontend._page._panels[0]._line
    wait_until(lambda: "solved" in line.content)
    for part in ("paused", "coverage 0.93", "compiling cem"):
        assert part in line.content


def test_charts_follow_the_history(frontend, session):
    for _ in range(30):
        session.advance()
    wait_until(lambda: len(frontend._page._charts._cost.chart.handle.data[0]) == 31)


def test_frame_that_fails_is_reported_and_the_next_is_drawn(frontend, session, monkeypatch, caplog):
    failed = threading.Event()
    draw = type(frontend._view).draw

    def broken(self, *arguments):
        failed.set()
        raise RuntimeError("no such mesh")

    monkeypatch.setattr(type(frontend._view), "draw", broken)
    assert failed.wait(5.0)
    monkeypatch.setattr(type(frontend._view), "draw", draw)
    drawn = frontend._drawn
    session.advance()
    wait_until(lambda: frontend._drawn > drawn)
    assert [r.message for r in caplog.records].count("the page could not be drawn") == 1


def test_clients_come_and_go_without_the_session_noticing(frontend, session):
    for _ in range(3):
        converse(frontend._server, [CAMERA], lambda: frontend._viser.get_clients())
    wait_until(lambda: not frontend._viser.get_clients())
    assert session.commands == []
    drawn = frontend._drawn
    session.advance()
    wait_until(lambda: frontend._drawn > drawn)


def test_stop_is_quick_and_leaves_no_thread(session):
    frontend = WebFrontend(session, port=0).start()

    async def stay():
        async with connect(
            f"ws://127.0.0.1:{frontend.port}/", subprotocols=[PROTOCOL], compression=None,
            max_size=None,
        ) as connection:  # fmt: skip
            await connection.recv()
            started = time.monotonic()
            await asyncio.to_thread(frontend.stop)
            return time.monotonic() - started

    assert asyncio.run(stay()) < 2.0
    assert not frontend._thread.is_alive()
    assert not frontend._viser._websock_server._server_thread.is_alive()


def test_idle_front_end_rests(session, monkeypatch):
    monkeypatch.setattr(frontend_module, "IDLE_SECONDS", 60.0)
    frontend = WebFrontend(session, port=0).start()
    wait_until(lambda: frontend._view is not None)
    started = time.monotonic()
    frontend.stop()
    assert time.monotonic() - started < 2.0
