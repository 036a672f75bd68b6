"""Colours of chart series: told apart by colour-blind people, legible on white and on black."""

from __future__ import annotations

RGB = tuple[int, int, int]

# M. Okabe and K. Ito, Color Universal Design (2008), without black; the yellow is darkened, and
# the order puts neighbours far apart.
_SERIES: tuple[RGB, ...] = (
    (0, 140, 210),
    (230, 145, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
    (190, 170, 20),
    (140, 140, 150),
)

PHASE_COLORS: dict[str, RGB] = {
    "propose": _SERIES[3],
    "rollout": _SERIES[0],
    "cost": _SERIES[1],
    "update": _SERIES[2],
    "draw": _SERIES[7],
}
"""Colour of each part of a planning step, and of drawing."""


def series_color(index: int) -> RGB:
    """Colour of the series number `index`, the same wherever that series is shown."""
    return _SERIES[index % len(_SERIES)]
