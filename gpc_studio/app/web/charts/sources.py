"""What each source of samples is worth: wins, elites, cost and effective sample size over time.

Colours mean the same in all of these charts and in the 3-D view, so that one legend stands above
them and the charts have none of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web import html
from gpc_studio.app.web.charts.chart import AXIS, Chart, Line, thinned
from gpc_studio.app.web.charts.window import Window
from gpc_studio.app.web.overlays.colours import RATIO, source_colour
from gpc_studio.controllers.plan import Source

if TYPE_CHECKING:
    import viser

AVERAGED = 25
"""Planning steps over which wins and elites are counted."""

HEIGHT = 96
"""Pixels; four charts, their legend and a row of tabs fit a page of 720 pixels."""

_LAST_HEIGHT = HEIGHT + 14  # with the name of the time axis

_SHARE = (-3.0, 103.0)


class SourcesLegend:
    """The colours of the sources there are, and the CEM sample ratio with a policy."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the legend to the open container."""
        self._line = gui.add_html("")

    def update(self, window: Window) -> None:
        """Names the sources of the newest plan."""
        content = ""
        if len(window.time):
            newest = window.by_source.samples[-1]
            entries = [(s.title, source_colour(s)) for s in Source if newest[s] > 0]
            if _is_mixed(newest):
                entries.append((f"CEM sample ratio {cem_ratio(window)[-1]:.2f}", RATIO))
            content = html.swatches(entries)
        if content != self._line.content:
            self._line.content = content


class WinnersChart:
    """Share of the planning steps whose cheapest sample came from each source.

    The lines of the sources are means over the last planning steps. The dashed one is the CEM
    sample ratio of Brudermueller et al. ("Generative Models From and For Sampling-Based MPC", 2025,
    arXiv 2510.14643, section V-A): over the episode so far, the share of the steps whose sample was
    taken from the controller's own distribution, its mean included, and not from the policy.
    """

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        lines = [*_lines(), Line("CEM sample ratio", RATIO, 1.5, dash=True)]
        self.chart = Chart(
            gui, "Source of the best sample", lines, y_label="Wins (%)", y_range=_SHARE,
            height=HEIGHT, legend=False, x_label="",
        )  # fmt: skip

    def update(self, window: Window) -> None:
        """Shows the newest shares."""
        rows = thinned(len(window.time))
        samples = window.by_source.samples
        shares = [
            _where_drawn(100.0 * _moving_mean(window.best_source == source), samples, source)[rows]
            for source in Source
        ]
        ratio = np.where(_is_mixed(samples), 100.0 * cem_ratio(window), np.nan)[rows]
        self.chart.show(window.time[rows], *shares, ratio)


class ElitesChart:
    """Share of the elites that came from each source, over the last planning steps."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        self.chart = Chart(
            gui, "Source of the elites", _lines(), y_label="Elites (%)", y_range=_SHARE,
            height=HEIGHT, legend=False, x_label="",
        )  # fmt: skip

    def update(self, window: Window) -> None:
        """Shows the newest shares."""
        rows = thinned(len(window.time))
        elites, samples = window.by_source.elites, window.by_source.samples
        total = np.maximum(elites.sum(axis=1), 1.0)
        shares = [
            _where_drawn(100.0 * _moving_mean(elites[:, s] / total), samples, s)[rows]
            for s in Source
        ]
        self.chart.show(window.time[rows], *shares)


class SourceCostChart:
    """Cost of the cheapest sample of each source.

    The axis is logarithmic while all costs are positive, as in the chart of all samples.
    """

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        self.chart = Chart(
            gui, "Best cost of each source", _lines(), y_label="Cost", log=True,
            height=HEIGHT, legend=False, x_label="",
        )  # fmt: skip

    def update(self, window: Window) -> None:
        """Shows the newest costs."""
        rows = thinned(len(window.time))
        costs = window.by_source.best[rows].T
        finite = costs[np.isfinite(costs)]
        if finite.size:
            self.chart.use_log(bool(np.all(finite > 0)))
        self.chart.show(window.time[rows], *costs)


class SampleSizeChart:
    """Effective sample size: how many samples the update listens to, by source.

    The bands are stacked: each is the source's share of the weight times the size of the whole,
    1 / sum(weight^2), which is their sum.
    """

    def __init__(self, gui: viser.GuiApi) -> None:
        """Adds the chart to the open container."""
        lines = [
            Line(s.title, source_colour(s), 1.25, fill_to=i - 1 if i else AXIS)
            for i, s in enumerate(Source)
        ]
        self.chart = Chart(
            gui, "Effective sample size", lines, y_label="Samples", y_range=(0.0, None),
            height=_LAST_HEIGHT, legend=False,
        )  # fmt: skip

    def update(self, window: Window) -> None:
        """Shows the newest sizes."""
        rows = thinned(len(window.time))
        stacked = np.cumsum(window.by_source.ess[rows], axis=1)
        # A source without samples adds nothing; its line would only hide the one that it lies on.
        from_here_up = np.cumsum(window.by_source.samples[rows][:, ::-1], axis=1)[:, ::-1]
        self.chart.show(window.time[rows], *np.where(from_here_up > 0, stacked, np.nan).T)


def cem_ratio(window: Window) -> np.ndarray:
    """The CEM sample ratio of the episode up to each planning step (R,), 0 to 1."""
    wins = window.by_source.wins
    return 1.0 - wins[:, Source.FLOW] / np.maximum(wins.sum(axis=1), 1.0)


def _is_mixed(samples: np.ndarray) -> np.ndarray:
    """Whether a policy and something else drew samples (..., n_sources) -> (...)."""
    from_policy = samples[..., Source.FLOW]
    return (from_policy > 0) & (samples.sum(axis=-1) > from_policy)


def _lines() -> list[Line]:
    return [Line(source.title, source_colour(source)) for source in Source]


def _where_drawn(values: np.ndarray, samples: np.ndarray, source: Source) -> np.ndarray:
    """The values (R,), with a gap where the source drew no samples."""
    return np.where(samples[:, source] > 0, values, np.nan)


def _moving_mean(hits: np.ndarray) -> np.ndarray:
    """Mean of each value and up to `AVERAGED` - 1 before it."""
    if not len(hits):
        return np.zeros(0)
    sums = np.concatenate([[0.0], np.cumsum(hits)])
    ends = np.arange(1, len(hits) + 1)
    starts = np.maximum(ends - AVERAGED, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)
