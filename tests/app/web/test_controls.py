"""Controls in step with a session, on a real viser server, with events as a page causes them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import viser

from gpc_studio.app.web import controls
from gpc_studio.app.web.controls import OptionControls, add_control, hint
from gpc_studio.app.web.server import WebServer
from gpc_studio.options import OptionError, describe, option, updated


@dataclass(frozen=True)
class Sample:
    count: int = option(32, min=2, max=64, step=2, group="A", help="How many.")
    length: float = option(1.0, min=0.1, max=5.0, unit="s", group="A", help="How long.")
    kind: str = option("mean", choices=("mean", "best"), group="B", help="Which.")
    shown: bool = option(True, group="B", help="Whether.")
    open_end: int = option(1, min=0, help="At least.")


class Page:
    """A browser that moves controls, and the notifications it was sent."""

    def __init__(self):
        self.notes = []
        self.client = SimpleNamespace(add_notification=lambda *a, **k: self.notes.append((a, k)))

    def move(self, handle, value):
        """What viser does when a page sends a value: it is written, then the callbacks run."""
        handle._impl.value = value

        async def run():
            for callback in handle._impl.update_cb:
                await callback(viser.GuiEvent(self.client, 0, handle))

        asyncio.run(run())


@pytest.fixture(scope="module")
def gui():
    server = WebServer(port=0)
    yield server.viser.gui
    server.stop()


@pytest.fixture
def now(monkeypatch):
    monkeypatch.setattr(controls, "TYPING_SECONDS", 0.0)
    clock = SimpleNamespace(time=1000.0)
    monkeypatch.setattr(controls.time, "monotonic", lambda: clock.time)
    return clock


def handles(options):
    return {name: control.handle for name, control in options._controls.items()}


def build(gui, apply):
    described = describe(Sample)
    values = {name: o.default for name, o in described.items()}
    return OptionControls(gui, described.values(), values, apply)


def test_every_option_gets_the_input_that_suits_it(gui):
    made = handles(build(gui, lambda name, value: None))
    kinds = {name: type(handle).__name__ for name, handle in made.items()}
    assert kinds == {
        "count": "GuiSliderHandle", "length": "GuiSliderHandle", "kind": "GuiDropdownHandle",
        "shown": "GuiCheckboxHandle", "open_end": "GuiNumberHandle",
    }  # fmt: skip
    assert (made["count"].min, made["count"].max, made["count"].step) == (2, 64, 2)
    assert made["count"].label == "Count"
    assert made["kind"].options == ("mean", "best")


def test_choices_known_only_now_are_offered_when_they_change(gui, now):
    got = []
    policy = replace(describe(Sample)["kind"], name="policy", choices=(), dynamic=True)
    options = OptionControls(gui, [policy], {"policy": "mine"}, lambda *change: got.append(change))
    handle = handles(options)["policy"]
    assert handle.options == ("mine",)
    options.offer({"policy": ("default", "mine")})
    assert (handle.options, handle.value) == (("default", "mine"), "mine")
    options.offer({"policy": ("default", "mine", "new")})
    Page().move(handle, "new")
    assert got == [("policy", "new")]
    options.show({"policy": "new"})
    options.offer({"policy": ("default",)})  # its file was deleted; it is still in charge
    assert (handle.options, handle.value) == (("new", "default"), "new")
    options.offer({})
    assert handle.options == ("new",)
    assert hint(policy) == "Which."
    assert got == [("policy", "new")]


def test_hint_holds_help_unit_and_range():
    described = describe(Sample)
    assert hint(described["length"]) == "How long. (number from 0.1 to 5 s)"
    assert hint(described["kind"]) == "Which."


def test_moved_control_reaches_the_session(gui, now):
    got = []
    made = handles(build(gui, lambda name, value: got.append((name, value))))
    page = Page()
    page.move(made["count"], 48)
    page.move(made["kind"], "best")
    page.move(made["shown"], False)
    assert got == [("count", 48), ("kind", "best"), ("shown", False)]
    assert not page.notes


def test_shown_value_is_not_sent_back(gui, now):
    got = []
    options = build(gui, lambda name, value: got.append(name))
    options.show({"count": 10, "length": 2.0, "kind": "best", "shown": False, "open_end": 7})
    values = {name: handle.value for name, handle in handles(options).items()}
    assert values == {"count": 10, "length": 2.0, "kind": "best", "shown": False, "open_end": 7}
    assert got == []


def test_refused_value_is_told_to_that_page_and_taken_back(gui, now):
    state = {"options": Sample()}

    def apply(name, value):
        state["options"] = updated(state["options"], {name: value})

    options = build(gui, apply)
    made = handles(options)
    page, other = Page(), Page()
    page.move(made["length"], 99.0)
    assert made["length"].value == 1.0
    assert state["options"] == Sample()
    (_, text), _ = page.notes[0]
    assert "length" in text and "0.1 to 5" in text
    assert not other.notes


def test_older_value_does_not_fight_a_moving_finger(gui, now):
    control = add_control(gui, describe(Sample)["count"], 32, lambda value: None)
    Page().move(control.handle, 60)
    control.show(32)
    assert control.handle.value == 60
    now.time += controls.GRACE_SECONDS + 0.01
    control.show(58)
    assert control.handle.value == 58


def test_number_on_the_way_to_an_acceptable_one_is_no_mistake(gui, monkeypatch):
    monkeypatch.setattr(controls, "TYPING_SECONDS", 0.2)
    got = []

    def apply(value):
        if value < 0.1:
            raise ValueError("too small")
        got.append(value)

    control = add_control(gui, describe(Sample)["length"], 1.0, apply)
    page = Page()

    async def type_half():
        callback = control.handle._impl.update_cb[0]
        event = viser.GuiEvent(page.client, 0, control.handle)
        control.handle._impl.value = 0.0
        first = asyncio.create_task(callback(event))
        await asyncio.sleep(0.05)
        control.show(1.0)
        assert control.handle.value == 0.0
        control.handle._impl.value = 0.5
        await asyncio.gather(first, callback(event))

    asyncio.run(type_half())
    assert got == [0.5]
    assert control.handle.value == 0.5
    assert not page.notes


@pytest.mark.parametrize("error", [OptionError("a", "b", 1), ValueError("x"), KeyError("y")])
def test_refusals_of_any_kind_are_shown(gui, now, error):
    def refuse(value):
        raise error

    control = add_control(gui, describe(Sample)["count"], 32, refuse)
    page = Page()
    page.move(control.handle, 40)
    assert control.handle.value == 32
    assert len(page.notes) == 1
