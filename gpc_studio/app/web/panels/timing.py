"""How long planning takes, and whether it keeps up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web import html
from gpc_studio.app.web.charts.colours import PHASE_COLORS

if TYPE_CHECKING:
    import viser


class TimingPanel:
    """Rates, age of the plan, real-time factor, and the parts of a planning step."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the tables to the open container."""
        self._table = gui.add_html("")
        gui.add_html('<div class="gpc-heading">Planning step</div>')
        self._parts = gui.add_html("")
        self.draw_seconds = 0.0

    def update(self, snapshot: Snapshot) -> None:
        """Shows the newest timing."""
        timing = snapshot.timing
        content = html.table([
            ("Planning rate", f"{timing.achieved_rate:.1f} of {timing.asked_rate:.0f} Hz"),
            ("Age of the plan", f"{1e3 * timing.plan_age:.0f} ms"),
            ("Real-time factor", f"{timing.real_time_factor:.2f}"),
            ("Dropped plans", str(timing.dropped_plans)),
            ("Drawing", f"{1e3 * self.draw_seconds:.1f} ms"),
        ])  # fmt: skip
        if content != self._table.content:
            self._table.content = content
        parts = timing.plan._asdict()
        total = max(timing.plan.total, 1e-9)
        content = html.bars([
            *((name.capitalize(), seconds / total, _milliseconds(seconds), PHASE_COLORS[name])
              for name, seconds in parts.items()),
        ])  # fmt: skip
        content += html.table([("Whole step", _milliseconds(timing.plan.total))])
        if content != self._parts.content:
            self._parts.content = content


def _milliseconds(seconds: float) -> str:
    """A time in few enough characters for the column beside a bar."""
    value = 1e3 * seconds
    return f"{value:.1f} ms" if value < 99.95 else f"{value:.0f} ms"
