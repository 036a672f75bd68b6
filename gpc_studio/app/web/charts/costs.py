"""Costs over time: of the best, elite and mean sample, and each term's share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.charts.chart import AXIS, Chart, Line, thinned
from gpc_studio.app.web.charts.colours import series_color
from gpc_studio.app.web.charts.window import Window
from gpc_studio.app.web.html import readable
from gpc_studio.app.web.overlays.colours import BEST

if TYPE_CHECKING:
    import viser

_ELITE, _MEAN = series_color(0), series_color(7)


class CostChart:
    """Cost of the best sample, mean of the elites, mean of all.

    The axis is logarithmic while all costs are positive, since samples often differ by orders of
    magnitude; a task whose costs reach zero or below has a linear one.
    """

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        lines = (Line("best", BEST, 2.25), Line("elite", _ELITE), Line("mean", _MEAN))
        self.chart = Chart(gui, "Cost of the samples", lines, y_label="Cost", log=True)

    def update(self, window: Window) -> None:
        """Shows the newest costs."""
        rows = thinned(len(window.time))
        costs = np.stack([window.best[rows], window.elite[rows], window.mean[rows]])
        finite = costs[np.isfinite(costs)]
        if finite.size:
            self.chart.use_log(bool(np.all(finite > 0)))
        self.chart.show(window.time[rows], *costs)


class TermsChart:
    """Share of each weighted term in the cost of the best sample, stacked to 100 %."""

    def __init__(self, gui: viser.GuiApi, names: Sequence[str]) -> None:
        """Adds the chart to the open container; `names` are the terms in order."""
        lines = [
            Line(readable(name), series_color(i), 1.0, fill_to=i - 1 if i else AXIS)
            for i, name in enumerate(names)
        ]
        self.chart = Chart(
            gui, "Share of each cost term", lines, y_label="Share (%)", y_range=(0.0, 100.0)
        )

    def update(self, window: Window) -> None:
        """Shows the newest shares."""
        rows = thinned(len(window.time))
        terms = np.abs(window.terms[rows])
        total = terms.sum(axis=1, keepdims=True)
        shares = np.divide(100.0 * terms, total, out=np.zeros_like(terms), where=total > 0)
        self.chart.show(window.time[rows], *np.cumsum(shares, axis=1).T)
