"""One uPlot chart over simulation time.

What never changes is set once, so that new data never makes the page build it anew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpc_studio.app.web.charts.colours import RGB
from gpc_studio.app.web.html import css_color

if TYPE_CHECKING:
    import viser

HEIGHT = 205
"""Pixels; two charts and a row of tabs fit a page of 720 pixels."""

MAX_POINTS = 240
"""More points than that are not seen in a chart 300 pixels wide."""

Range = tuple[float | None, float | None]

AXIS = -1
"""As `fill_to`: down to zero."""

_REPEAT_SECONDS = 1.0
_NUDGE = 1e-6  # s
_BAND_ALPHA = "60"
_FONT = "11px system-ui, sans-serif"


@dataclass(frozen=True)
class Line:
    """A series of a chart.

    Attributes:
        label: Name in the legend.
        color: Its colour.
        width: Line width in pixels; 0 draws points only.
        dash: Whether the line is dashed.
        fill_to: Index of the line that a filled band reaches down to, `AXIS`, or None.
    """

    label: str
    color: RGB
    width: float = 1.75
    dash: bool = False
    fill_to: int | None = None


class Chart:
    """A chart in the open GUI container."""

    def __init__(
        self,
        gui: viser.GuiApi,
        title: str,
        lines: Sequence[Line],
        *,
        y_label: str,
        y_range: Range | None = None,
        log: bool = False,
        height: int = HEIGHT,
        legend: bool = True,
        x_label: str = "Time (s)",
    ) -> None:
        """Adds an empty chart.

        Args:
            gui: Where to add it.
            title: Title above it.
            lines: Its series.
            y_label: What the y axis shows, with its unit.
            y_range: Fixed limits of the y axis, or None to follow the data.
            log: Whether the y axis is logarithmic.
            height: Pixels.
            legend: Whether the lines are named below the chart.
            x_label: What the x axis shows; nothing needs less room.
        """
        self._count = len(lines)
        self._log = log
        self._y_range = y_range
        self._shown: tuple[np.ndarray, ...] | None = None
        self._sent = 0.0
        self._nudged = False
        bands = tuple(
            {"series": (i + 1, line.fill_to + 1), "fill": css_color(line.color) + _BAND_ALPHA}
            for i, line in enumerate(lines)
            if line.fill_to is not None and line.fill_to != AXIS
        )
        self.handle = gui.add_uplot(
            data=_nothing(self._count),
            series=({"label": "x"}, *(_series(line) for line in lines)),
            title=title,
            bands=bands or None,  # pyright: ignore[reportArgumentType]
            scales=self._scales(),
            axes=_axes(x_label, y_label),
            legend={"show": legend, "live": False},
            cursor={"y": False},
            height=height,
            padding=(10, 18, 0, 0),
        )

    @property
    def is_log(self) -> bool:
        """Whether the y axis is logarithmic."""
        return self._log

    def use_log(self, log: bool) -> None:
        """Changes the kind of the y axis; the page builds the chart anew when it changes."""
        if log != self._log:
            self._log = log
            self.handle.scales = self._scales()

    def set_y_range(self, y_range: Range) -> None:
        """Fixes the limits of the y axis; the page builds the chart anew when they change."""
        if y_range != self._y_range:
            self._y_range = y_range
            self.handle.scales = self._scales()

    def show(self, x: np.ndarray, *lines: np.ndarray) -> None:
        """Shows new data.

        Args:
            x: Ascending (P,).
            lines: The lines in order, each (P,); values that are not finite leave a gap.
        """
        assert len(lines) == self._count
        data = (x, *lines) if len(x) > 1 else _nothing(self._count)
        data = (np.asarray(data[0], dtype=np.float64), *_with_gaps(data[1:]))
        now = time.monotonic()
        if self._shown is not None and all(
            np.array_equal(a, b, equal_nan=True) for a, b in zip(data, self._shown, strict=True)
        ):
            if now - self._sent < _REPEAT_SECONDS:
                return
            # A page that has just opened the chart's tab may have laid it out before it had a
            # width, and finds the ticks of the x axis only when that axis changes again.
            self._nudged = not self._nudged
            last = data[0][-1] + (_NUDGE if self._nudged else 0.0)
            data = (np.append(data[0][:-1], last), *data[1:])
        else:
            self._shown = data
        self._sent = now
        self.handle.data = data

    def _scales(self) -> dict[str, Any]:
        y: dict[str, Any] = {"distr": 3 if self._log else 1}
        if self._y_range is not None:
            y["range"] = self._y_range
        return {"x": {"time": False}, "y": y}


def thinned(count: int) -> np.ndarray:
    """Indices of at most `MAX_POINTS` out of `count` rows.

    They are multiples of a step counted from the end, so that the newest row is always shown.
    """
    step = -(-count // MAX_POINTS) if count else 1
    return np.arange(count - 1, -1, -step)[::-1]


def _nothing(lines: int) -> tuple[np.ndarray, ...]:
    return (np.array([0.0, 1.0]), *(np.full(2, np.nan) for _ in range(lines)))


def _with_gaps(lines: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The lines with NaN where a value is not finite, except at their first point.

    The page looks for the range of a line from its first point on, and a NaN there would leave the
    chart without a scale. A lone point is not drawn, so its value only has to be within the range;
    it is the lowest, because a logarithmic axis draws a gap as a line from there down and out.
    """
    gapped = [np.where(np.isfinite(values), values, np.nan) for values in lines]
    finite = [values[np.isfinite(values)] for values in gapped]
    other = min((values.min() for values in finite if len(values)), default=np.nan)
    for values, known in zip(gapped, finite, strict=True):
        if np.isnan(values[0]):
            values[0] = known[0] if len(known) else other
    return gapped


def _series(line: Line) -> Any:
    color = css_color(line.color)
    series: dict[str, Any] = {
        "label": line.label,
        "stroke": color,
        "width": line.width,
        "points": {"show": False},
    }
    if line.fill_to == AXIS:
        series["fill"] = color + _BAND_ALPHA
    if line.dash:
        series["dash"] = (5, 4)
    if line.width == 0:
        series["points"] = {"show": True, "size": 6, "space": 0, "fill": color}
    return series


def _axes(x_label: str, y_label: str) -> tuple[Any, ...]:
    common = {"font": _FONT, "labelFont": _FONT, "labelGap": 0, "gap": 3,
              "ticks": {"size": 4, "width": 1}}  # fmt: skip
    x_axis = {**common, "size": 22, "space": 44}
    if x_label:
        x_axis |= {"label": x_label, "labelSize": 15}
    return x_axis, {**common, "label": y_label, "labelSize": 15, "size": 42, "space": 26}
