"""Keyboard shortcuts; each is an entry of the command palette (Ctrl+K), too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpc_studio.app.planners import controller_names
from gpc_studio.app.web.controls import run_for
from gpc_studio.app.web.panels.session import step

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session
    from gpc_studio.app.web.panels.view import ViewPanel

_DIGITS = "1234567890"


@dataclass(frozen=True)
class Shortcut:
    """A command that a person can give from the keyboard.

    Attributes:
        key: Key as viser names it, or a printable character.
        label: What the command palette shows.
        command: What it does; it must return at once.
    """

    key: str
    label: str
    command: Callable[[], Any]


def shortcuts(session: Session, view: ViewPanel) -> tuple[Shortcut, ...]:
    """All shortcuts; W, A, S, D, Q and E are the page's own, which move the camera."""
    return (
        Shortcut("space", "Pause or resume", session.toggle_pause),
        Shortcut(".", "Step: pause, then one planning period each", lambda: step(session)),
        Shortcut("R", "Reset the episode", session.reset),
        Shortcut("Z", "Rewind one second", session.rewind),
        Shortcut("G", "Ghosts on or off", lambda: view.toggle("ghosts")),
        Shortcut("B", "Best plan on or off", lambda: view.toggle("best_plan")),
        Shortcut("P", "Executed path on or off", lambda: view.toggle("path")),
        Shortcut("T", "Dark or light theme", lambda: view.set_dark(not view.dark)),
        *(
            Shortcut(digit, f"Controller: {name}", _choice(session, name))
            for digit, name in zip(_DIGITS, controller_names(), strict=False)
        ),
    )


def add_shortcuts(gui: viser.GuiApi, entries: tuple[Shortcut, ...]) -> None:
    """Registers shortcuts with the page."""
    for entry in entries:
        # viser's type lists letters, digits and named keys; the page takes any character.
        handle = gui.add_command(entry.label, hotkey=entry.key)  # pyright: ignore[reportArgumentType]
        handle.on_trigger(_triggered(entry.command))


def _triggered(command: Callable[[], Any]) -> Callable[[viser.CommandEvent], Any]:
    async def triggered(event: viser.CommandEvent) -> None:
        if event.client is not None:
            run_for(event.client, command)

    return triggered


def _choice(session: Session, name: str) -> Callable[[], Any]:
    return lambda: session.set_controller(name)
