"""Draws the latent view as SVG: sharp at any size, and in the colours of the page's theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpc_studio.app.web import html
from gpc_studio.app.web.overlays.colours import BEST, Rgb, cost_colours, source_colour
from gpc_studio.controllers.plan import Source

SIZE = 300
"""Width and height of the picture in its own units, about pixels."""

_LEFT, _BOTTOM = 18, 18  # room for what the axes say
_RING, _DIAMOND, _HEAD = 4.6, 6.5, 4.0


class Cloud(NamedTuple):
    """What is drawn, in the plane of the axes.

    Attributes:
        points: Candidates (M, 2).
        colours: sRGB of each on 0 to 255 (M, 3).
        elite: Which are elites (M,).
        best: Index of the cheapest, or None if it is not drawn.
        ways: From noise to sample in straight pieces (P, n, 2); P = 0 for none.
    """

    points: np.ndarray
    colours: np.ndarray
    elite: np.ndarray
    best: int | None
    ways: np.ndarray


def picture(cloud: Cloud, half: float, explained: np.ndarray) -> str:
    """The picture.

    Args:
        cloud: What to draw.
        half: Half of the width that is shown, in units of the plane.
        explained: Share of the variance along each axis (2,).
    """
    side = SIZE - _LEFT - 2
    height = SIZE - _BOTTOM - 2

    def place(points: np.ndarray) -> np.ndarray:
        """Plane to picture (..., 2), y up."""
        unit = np.clip(np.nan_to_num(points / half, posinf=9, neginf=-9), -9, 9)
        return np.stack(
            [_LEFT + side / 2 * (1 + unit[..., 0]), 1 + height / 2 * (1 - unit[..., 1])], -1
        )

    middle_x, middle_y = _LEFT + side / 2, 1 + height / 2
    flow = html.css_color(source_colour(Source.FLOW))
    points = place(cloud.points)
    parts = [
        f'<svg class="gpc-latent" viewBox="0 0 {SIZE} {SIZE}" role="img" '
        'aria-label="Samples and noise in the plane of their two principal components">',
        f'<clipPath id="gpc-latent-box"><rect x="{_LEFT}" y="1" width="{side}" height="{height}" '
        'rx="5"/></clipPath>',
        f'<rect class="ground" x="{_LEFT}" y="1" width="{side}" height="{height}" rx="5"/>',
        f'<path class="cross" d="M{_LEFT} {middle_y}h{side}M{middle_x} 1v{height}"/>',
        f'<text x="{middle_x}" y="{SIZE - 4}">{_percent(explained[0])}</text>',
        f'<text transform="translate(12 {middle_y}) rotate(-90)">{_percent(explained[1])}</text>',
        '<g clip-path="url(#gpc-latent-box)">',
    ]
    if len(cloud.ways):
        ways = place(cloud.ways)
        parts.append(f'<path class="way" stroke="{flow}" d="{_arrows(ways)}"/>')
        parts.append(f'<path class="noise" stroke="{flow}" d="{_dots(ways[0])}"/>')
    for colour in np.unique(cloud.colours.astype(int), axis=0):
        same = (cloud.colours.astype(int) == colour).all(axis=1)
        css = html.css_color(_rgb(colour))
        parts.append(f'<path class="dot" stroke="{css}" d="{_dots(points[same])}"/>')
    parts.append(f'<path class="elite" d="{_rings(points[cloud.elite])}"/>')
    if cloud.best is not None:
        x, y = points[cloud.best]
        parts.append(f'<path class="best" fill="{html.css_color(BEST)}" d="{_diamond(x, y)}"/>')
    return "".join(parts) + "</g></svg>"


def key(sources: Sequence[Source], by_cost: bool, noise: bool) -> str:
    """What the marks mean."""
    flow = html.css_color(source_colour(Source.FLOW))
    if by_cost:
        stops = ",".join(html.css_color(_rgb(c)) for c in cost_colours(np.linspace(0, 1, 7)))
        marks = [
            f'<i class="gpc-scale" style="background:linear-gradient(90deg,{stops})"></i>'
            "cheap to dear"
        ]
    else:
        marks = [
            _mark(f'<path class="dot" stroke="{html.css_color(source_colour(s))}" d="M7 7h0"/>')
            + html.text(s.title)
            for s in sources
        ]
    marks.append(_mark(f'<path class="elite" d="{_rings(np.array([[7.0, 7.0]]))}"/>') + "elite")
    best = f'<path class="best" fill="{html.css_color(BEST)}" d="{_diamond(7, 7)}"/>'
    marks.append(_mark(best) + "best")
    if noise:
        arrow = np.array([[[1.5, 11.0]], [[12.0, 3.0]]])
        drawn = f'<path class="way" stroke="{flow}" d="{_arrows(arrow)}"/>'
        marks.append(_mark(drawn) + "from noise to sample")
    return f'<div class="gpc-key">{"".join(f"<span>{mark}</span>" for mark in marks)}</div>'


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} % of the variance"


def _mark(content: str) -> str:
    return f'<svg class="gpc-latent" viewBox="0 0 14 14">{content}</svg>'


def _dots(points: np.ndarray) -> str:
    """Lines of no length; their round caps are the dots."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)


def _rings(points: np.ndarray) -> str:
    r = _RING
    return "".join(f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0"
                   for x, y in points)  # fmt: skip


def _diamond(x: float, y: float) -> str:
    d = _DIAMOND
    return f"M{x:.1f} {y - d:.1f}l{d} {d}l{-d} {d}l{-d} {-d}z"


def _arrows(ways: np.ndarray) -> str:
    """Polylines (P, n, 2) with a head at the end of each; those of no length have none."""
    drawn = []
    for way in ways.transpose(1, 0, 2):
        drawn.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in way))
        heading = way[-1] - way[-2]
        length = float(np.hypot(*heading))
        if length > 1e-3 and np.abs(way[-1] - way[0]).max() > 2.0 * _HEAD:
            along = heading / length * _HEAD
            aside = 0.55 * np.array([-along[1], along[0]])
            (ax, ay), (bx, by) = way[-1] - along + aside, way[-1] - along - aside
            x, y = way[-1]
            drawn.append(f"M{ax:.1f} {ay:.1f}L{x:.1f} {y:.1f}L{bx:.1f} {by:.1f}")
    return "".join(drawn)


def _rgb(colour: np.ndarray) -> Rgb:
    red, green, blue = (round(float(value)) for value in colour)
    return red, green, blue
