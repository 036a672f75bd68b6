"""How the samples of each source are spread over the horizon, for one actuator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web import html
from gpc_studio.app.web.charts.chart import Chart, Line
from gpc_studio.app.web.overlays.colours import source_colour
from gpc_studio.controllers.plan import Plan, Source

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.web.charts.chart import Range


class SpreadChart:
    """Mean of each source's knots with a band of one standard deviation, one over the other.

    It shows what the policy proposes beside what the Gaussian does: bands that lie apart are plans
    of different kinds. Lines are drawn straight from knot to knot.
    """

    def __init__(self, gui: viser.GuiApi, limits: Range) -> None:
        """Adds legend and chart to the open container; `limits` are those of the control."""
        self._legend = gui.add_html("")
        lines: list[Line] = []
        for source in Source:
            colour, low = source_colour(source), len(lines)
            lines += [
                Line(f"{source.title} − std", colour, 0.75),
                Line(f"{source.title} + std", colour, 0.75, fill_to=low),
                Line(source.title, colour, 2.0, dash=source == Source.PREVIOUS),
            ]
        self.chart = Chart(
            gui, "Samples of each source", lines, y_label="Control", y_range=limits, legend=False
        )

    def update(self, plan: Plan, actuator: int, limits: Range) -> None:
        """Shows the newest samples."""
        entries = [(s.title, source_colour(s)) for s in Source if np.any(plan.source == s)]
        content = html.swatches(entries)
        if content != self._legend.content:
            self._legend.content = content
        self.chart.set_y_range(limits)
        self.chart.show(np.asarray(plan.knot_times, float), *spread_lines(plan, actuator))


def spread_lines(plan: Plan, actuator: int) -> list[np.ndarray]:
    """Mean - std, mean + std and mean of each source's knots in turn, each (K,).

    They are not numbers for a source that drew none, and a single sample has no band.
    """
    lines = []
    for source in Source:
        knots = np.asarray(plan.knots, float)[np.asarray(plan.source) == source, :, actuator]
        gap = np.full(np.shape(plan.knots)[1], np.nan)
        mean = knots.mean(axis=0) if len(knots) else gap
        std = knots.std(axis=0) if len(knots) > 1 else gap
        lines += [mean - std, mean + std, mean]
    return lines
