"""State line, transport buttons, speed, mode and seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpc_studio.app.session.desk import SessionOptions
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web import html
from gpc_studio.app.web.controls import Control, add_control, on_click
from gpc_studio.options import describe

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session


class StatePanel:
    """Time, state, success and the task's measures of progress, in one line."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the line to the open container."""
        self._line = gui.add_html("")

    def update(self, snapshot: Snapshot) -> None:
        """Shows the newest state."""
        parts = [f'<span class="gpc-clock">{float(snapshot.state.time):.2f} s</span>']
        if snapshot.paused:
            parts.append(html.badge("paused", "paused"))
        else:
            parts.append(html.badge("running", "running"))
        if snapshot.success:
            parts.append(html.badge("✓ solved", "success"))
        if snapshot.preparing:
            parts.append(html.badge("preparing", "preparing"))
        parts += [
            f'<span class="gpc-measure">{html.text(name)} {html.number(value)}</span>'
            for name, value in snapshot.progress.items()
        ]
        content = f'<div class="gpc-state">{"".join(parts)}</div>'
        if snapshot.preparing:
            content += f'<div class="gpc-note">{html.text(snapshot.preparing)}</div>'
        if content != self._line.content:
            self._line.content = content


class TransportPanel:
    """Pause or resume, step, reset, rewind; speed."""

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        """Adds buttons and slider to the open container."""
        snapshot = session.snapshot
        gui.add_html('<div class="gpc-transport"></div>')
        self._pause = on_click(
            gui.add_button(_pause_label(snapshot), hint="Space"), session.toggle_pause
        )
        on_click(gui.add_button("Step", color="gray"), lambda: step(session))
        on_click(gui.add_button("Reset", color="gray"), session.reset)
        on_click(gui.add_button("Rewind", color="gray"), session.rewind)
        self._speed = add_control(
            gui, describe(SessionOptions)["speed"], snapshot.speed, session.set_speed
        )

    def update(self, snapshot: Snapshot) -> None:
        """Shows whether the plant stands still, and its speed."""
        label = _pause_label(snapshot)
        if self._pause.label != label:
            self._pause.label = label
        self._speed.show(snapshot.speed)


class RunPanel:
    """Mode and seed."""

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        """Adds the controls to the open container."""
        snapshot = session.snapshot
        options = describe(SessionOptions)
        self._controls: dict[str, Control] = {
            "mode": add_control(gui, options["mode"], snapshot.mode, session.set_mode),
            "seed": add_control(gui, options["seed"], snapshot.seed, session.reset),
        }

    def update(self, snapshot: Snapshot) -> None:
        """Shows the session's mode and seed."""
        for name, control in self._controls.items():
            control.show(getattr(snapshot, name))


def step(session: Session) -> None:
    """One planning period while paused; while running, this pauses."""
    if session.snapshot.paused:
        session.step()
    else:
        session.pause()


def _pause_label(snapshot: Snapshot) -> str:
    return "Resume" if snapshot.paused else "Pause"
