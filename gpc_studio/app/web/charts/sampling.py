"""Which proposal wins, and how many samples have a say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.charts.chart import Chart, Line, thinned
from gpc_studio.app.web.charts.colours import series_color
from gpc_studio.app.web.charts.window import Window
from gpc_studio.app.web.overlays.colours import source_colour
from gpc_studio.controllers.plan import Source

if TYPE_CHECKING:
    import viser

AVERAGED = 25
"""Planning steps over which wins are counted."""


class SourcesChart:
    """How often the best sample came from each source, over the last planning steps."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        lines = [Line(source.title, source_colour(source)) for source in Source]
        self.chart = Chart(
            gui, "Source of the best sample", lines, y_label="Share (%)", y_range=(-2.0, 102.0)
        )

    def update(self, window: Window) -> None:
        """Shows the newest shares."""
        rows = thinned(len(window.time))
        shares = [100.0 * _moving_mean(window.best_source == source)[rows] for source in Source]
        self.chart.show(window.time[rows], *shares)


class SampleSizeChart:
    """Effective sample size: how many samples the update listens to."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        lines = [Line("effective samples", series_color(0))]
        self.chart = Chart(
            gui, "Effective sample size", lines, y_label="Samples", y_range=(0.0, None)
        )

    def update(self, window: Window) -> None:
        """Shows the newest sizes."""
        rows = thinned(len(window.time))
        self.chart.show(window.time[rows], window.ess[rows])


def _moving_mean(hits: np.ndarray) -> np.ndarray:
    """Mean of each value and up to `AVERAGED` - 1 before it."""
    if not len(hits):
        return np.zeros(0)
    sums = np.concatenate([[0.0], np.cumsum(hits)])
    ends = np.arange(1, len(hits) + 1)
    starts = np.maximum(ends - AVERAGED, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)
