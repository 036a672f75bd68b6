"""Controls built from option dataclasses, in step with the session in both directions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gpc_studio.options import Option

if TYPE_CHECKING:
    import viser

GRACE_SECONDS = 0.6
"""How long a control that a person has just moved is left alone. A page sends at most every 50 ms
and the session answers within a frame, so an older value never fights a finger."""

TYPING_SECONDS = 1.2
"""How long a number that is refused may stand: the next digit may make it acceptable."""

Apply = Callable[[Any], None]
"""Hands a new value to the session; raises `ValueError` when it is refused."""


def hint(option: Option) -> str:
    """What a person reads when resting on a control: help, unit and range."""
    if option.choices or option.dynamic or option.kind is bool:
        return option.help
    return f"{option.help} ({option.expected.removeprefix('a ')})"


class Control:
    """One input on the page and the value that the session holds for it."""

    def __init__(self, handle: viser.GuiInputHandle[Any], apply: Apply) -> None:
        """Watches `handle`; `apply` must return at once, it runs on the server's event loop."""
        self.handle = handle
        self._apply = apply
        self._left_alone_until = 0.0
        self._moves = 0
        self._true_value = handle.value
        handle.on_update(self._changed)

    def show(self, value: Any) -> None:
        """Shows the session's value, without sending it back to the session."""
        self._true_value = value
        if time.monotonic() >= self._left_alone_until:
            self._write(value)

    def _write(self, value: Any) -> None:
        if self.handle.value != value:
            self.handle.value = value

    def offer(self, choices: Iterable[str]) -> None:
        """Shows other choices in a dropdown; the value it has is always one of them."""
        import viser

        assert isinstance(self.handle, viser.GuiDropdownHandle)
        wanted = with_value(choices, self._true_value)
        if self.handle.options != wanted:
            self.handle.options = wanted

    async def _changed(self, event: viser.GuiEvent[Any]) -> None:
        if event.client is None:  # Written by `show`.
            return
        self._moves = move = self._moves + 1
        self._left_alone_until = time.monotonic() + GRACE_SECONDS
        problem = refusal(lambda: self._apply(self.handle.value))
        if problem is None:
            return
        if not isinstance(self.handle.value, (bool, str)):
            # A number is typed digit by digit: 0 on the way to 0.5 is no mistake yet.
            self._left_alone_until += TYPING_SECONDS
            await asyncio.sleep(TYPING_SECONDS)
        if move == self._moves:
            show_refusal(event.client, problem)
            self._left_alone_until = 0.0
            self._write(self._true_value)


def refusal(command: Callable[[], Any]) -> Exception | None:
    """Runs a session command; returns why it was refused, or None if it was not."""
    try:
        command()
    except (ValueError, LookupError, TypeError, OSError) as error:
        return error
    return None


def show_refusal(client: viser.ClientHandle, problem: Exception) -> None:
    """Tells one page why its command was refused."""
    text = str(problem.args[0]) if isinstance(problem, KeyError) and problem.args else str(problem)
    client.add_notification("Not possible", text, color="orange", auto_close_seconds=8.0)


def run_for(client: viser.ClientHandle, command: Callable[[], Any]) -> None:
    """Runs a session command for one page, which is told if it is refused."""
    problem = refusal(command)
    if problem is not None:
        show_refusal(client, problem)


def on_click(button: viser.GuiButtonHandle, command: Callable[[], Any]) -> viser.GuiButtonHandle:
    """Runs `command` when `button` is clicked; a refusal is shown to the page that clicked."""

    async def clicked(event: viser.GuiEvent[Any]) -> None:
        if event.client is not None:
            run_for(event.client, command)

    button.on_click(clicked)
    return button


def with_value(choices: Iterable[str], value: str) -> tuple[str, ...]:
    """Choices with the value that a dropdown has, which need not be one that is offered."""
    found = tuple(choices)
    return found if value in found else (value, *found)


def add_control(gui: viser.GuiApi, option: Option, value: Any, apply: Apply) -> Control:
    """The input that suits an option.

    A number with both limits is a slider (which has a box for typing, too), another number a box;
    a choice is a dropdown, a boolean a checkbox. Dynamic choices are offered later.
    """
    label, tip = option.label, hint(option)
    if option.choices or option.dynamic:
        choices = with_value(option.choices, value)
        handle = gui.add_dropdown(label, choices, initial_value=value, hint=tip)
    elif option.kind is bool:
        handle = gui.add_checkbox(label, bool(value), hint=tip)
    elif option.kind is str:
        handle = gui.add_text(label, value, hint=tip)
    elif option.min is not None and option.max is not None:
        handle = gui.add_slider(
            label, _as(option, option.min), _as(option, option.max), _step(option),
            _as(option, value), hint=tip, marks=(),
        )  # fmt: skip
    else:
        handle = gui.add_number(
            label, _as(option, value), min=option.min, max=option.max, step=option.step, hint=tip
        )
    return Control(handle, apply)


class OptionControls:
    """The controls of one options dataclass, in a folder for each group."""

    def __init__(
        self,
        gui: viser.GuiApi,
        options: Iterable[Option],
        values: Mapping[str, Any],
        apply: Callable[[str, Any], None],
        *,
        folders: bool = True,
    ) -> None:
        """Adds the controls to the GUI container that is open.

        Args:
            gui: Where to add them.
            options: What to add, in order; options of one group go into one folder.
            values: Present values by name.
            apply: Called with name and value when a person moves a control.
            folders: Whether to make folders at all.
        """
        self._controls: dict[str, Control] = {}
        self._dynamic: list[str] = []
        by_group: dict[str, list[Option]] = {}
        for option in options:
            if option.dynamic:
                self._dynamic.append(option.name)
            by_group.setdefault(option.group if folders else "", []).append(option)
        for group, members in by_group.items():
            with gui.add_folder(group) if group else nullcontext():
                for option in members:
                    self._controls[option.name] = add_control(
                        gui, option, values[option.name], _bound(apply, option.name)
                    )

    def show(self, values: Mapping[str, Any]) -> None:
        """Shows the session's values."""
        for name, control in self._controls.items():
            control.show(values[name])

    def offer(self, choices: Mapping[str, Iterable[str]]) -> None:
        """Shows the choices of options of which they are known only now."""
        for name in self._dynamic:
            self._controls[name].offer(choices.get(name, ()))


def _bound(apply: Callable[[str, Any], None], name: str) -> Apply:
    return lambda value: apply(name, value)


def _as(option: Option, number: float) -> Any:
    return option.kind(number)


def _step(option: Option) -> Any:
    if option.step is not None:
        return _as(option, option.step)
    assert option.min is not None and option.max is not None
    return 1 if option.kind is int else (option.max - option.min) / 100.0
