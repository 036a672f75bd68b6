"""Where planning time goes, and the rate it reaches."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.session.snapshot import Timing
from gpc_studio.app.web.charts.chart import AXIS, Chart, Line, thinned
from gpc_studio.app.web.charts.colours import PHASE_COLORS, series_color
from gpc_studio.app.web.charts.window import Window
from gpc_studio.controllers.plan import PlanTiming

if TYPE_CHECKING:
    import viser


class SplitChart:
    """Wall time of the parts of a planning step, stacked, and of drawing a frame."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        lines = [
            Line(name, PHASE_COLORS[name], 1.0, fill_to=i - 1 if i else AXIS)
            for i, name in enumerate(PlanTiming._fields)
        ]
        lines.append(Line("draw", PHASE_COLORS["draw"], 1.5, dash=True))
        self.chart = Chart(gui, "Time of a planning step", lines, y_label="Time (ms)")
        self._draws: deque[tuple[float, float]] = deque(maxlen=600)
        self._recent: deque[float] = deque(maxlen=15)

    def note_draw(self, time: float, seconds: float) -> None:
        """Remembers that drawing the state at simulation `time` took `seconds` of wall time.

        The chart shows the median of some frames: one frame that waited for a busy processor says
        little, and would flatten all other lines.
        """
        self._recent.append(seconds)
        seconds = float(np.median(self._recent))
        while self._draws and self._draws[-1][0] >= time:
            self._draws.pop()
        self._draws.append((time, seconds))

    def update(self, window: Window) -> None:
        """Shows the newest times."""
        rows = thinned(len(window.time))
        time = window.time[rows]
        stacked = 1e3 * np.cumsum(window.phases[rows], axis=1)
        self.chart.show(time, *stacked.T, self._draws_at(time))

    def _draws_at(self, time: np.ndarray) -> np.ndarray:
        if not self._draws:
            return np.full(len(time), np.nan)
        times, seconds = np.array(self._draws).T
        return 1e3 * np.interp(time, times, seconds)


class RateChart:
    """Planning rate that is reached, against the one asked for."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        lines = [Line("achieved", series_color(0)), Line("asked", series_color(7), 1.25, dash=True)]
        self.chart = Chart(gui, "Planning rate", lines, y_label="Rate (Hz)", y_range=(0.0, None))

    def update(self, window: Window, timing: Timing) -> None:
        """Shows the newest rates."""
        rows = thinned(len(window.time))
        asked = np.full(len(rows), timing.asked_rate)
        self.chart.show(window.time[rows], window.achieved_rate[rows], asked)
