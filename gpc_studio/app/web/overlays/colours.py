"""Colours of everything drawn over the world, and the legend that explains them.

Costs are coloured by percentile on a truncated viridis; sources and highlights use the palette of
Okabe and Ito. Both can be told apart with the common colour-vision deficiencies.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, replace

import numpy as np

from gpc_studio.app.web.overlays.options import OverlayOptions
from gpc_studio.app.web.scene.glb import srgb_to_linear
from gpc_studio.controllers.plan import Plan, Source

Rgb = tuple[int, int, int]

# Anchors of viridis (Smith and van der Walt, Matplotlib, CC0) from cheap to dear; its darkest
# fifth is left out, since it would vanish on a dark ground.
_COST_ANCHORS = np.array(
    [[253, 231, 37], [159, 218, 58], [74, 193, 109], [31, 161, 135], [39, 127, 142],
     [54, 92, 141], [70, 51, 127]],
    dtype=float,
)  # fmt: skip
DIVERGED: Rgb = (213, 50, 30)
BEST: Rgb = (255, 64, 160)
PUSH: Rgb = (255, 140, 66)
RATIO: Rgb = (134, 142, 150)
"""Of the ratio of samples, which belongs to no source."""

# The violet of the policy is no colour of Okabe and Ito: their green is hard to tell from the sky
# blue without cones for blue, and from the best plan's pink without those for green.
_SOURCES: tuple[Rgb, ...] = (
    (230, 159, 0), (86, 180, 233), (145, 95, 235), (0, 158, 115), (240, 228, 66), (0, 114, 178),
)  # fmt: skip


def line_colour(rgb: np.ndarray | Rgb) -> np.ndarray:
    """Per-vertex line colours (..., 3) uint8 that show as sRGB colours (..., 3) on 0 to 255.

    The viewer takes per-vertex colours of lines as linear light, so the sRGB curve is undone here.
    """
    return np.round(255.0 * srgb_to_linear(np.asarray(rgb) / 255.0)).astype(np.uint8)


def source_colour(source: int) -> Rgb:
    """The colour of a proposal, the same in every view and chart."""
    return _SOURCES[int(source) % len(_SOURCES)]


def source_title(source: int) -> str:
    """What a proposal is called, also one this version does not know by name."""
    known = {int(member): member.title for member in Source}
    return known.get(int(source), f"Source {int(source)}")


def cost_colours(share: np.ndarray) -> np.ndarray:
    """Colours (..., 3) on 0 to 255 of percentiles (...,), 0 the cheapest and 1 the dearest."""
    at = np.linspace(0.0, 1.0, len(_COST_ANCHORS))
    return np.stack([np.interp(share, at, channel) for channel in _COST_ANCHORS.T], -1)


def percentiles(cost: np.ndarray) -> np.ndarray:
    """Share of the finite costs that are lower (N,), 0 to 1; NaN where the cost is not finite.

    Equal costs share their mean rank, so that a colour never depends on the order of the samples.
    """
    cost = np.asarray(cost, dtype=float)
    share = np.full(cost.shape, np.nan)
    finite = np.isfinite(cost)
    _, group, counts = np.unique(cost[finite], return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    rank = first + (counts - 1) / 2.0
    share[finite] = rank[group] / max(finite.sum() - 1, 1)
    return share


def rollout_colours(plan: Plan, colour_by: str) -> np.ndarray:
    """Colour of every sample, sRGB (N, 3) on 0 to 255; diverged samples are always red."""
    share = percentiles(np.asarray(plan.cost))
    if colour_by == "source":
        sources = np.asarray(plan.source).astype(int)
        palette = np.array([source_colour(s) for s in range(max(sources.max(initial=0), 0) + 1)])
        colours = palette[sources].astype(float)
    else:
        colours = cost_colours(np.nan_to_num(share))
    colours[np.isnan(share)] = DIVERGED
    return colours


@dataclass(frozen=True)
class Legend:
    """What the colours of the drawn rollouts mean.

    Attributes:
        title: Heading.
        entries: Labels and colours of things with one colour each.
        gradient: Colours from left to right, or empty.
        ticks: Labels along the gradient, evenly spaced from left to right.
    """

    title: str
    entries: tuple[tuple[str, Rgb], ...]
    gradient: tuple[Rgb, ...] = ()
    ticks: tuple[str, ...] = ()


def legend(plan: Plan | None, options: OverlayOptions, on_the_way: Plan | None = None) -> Legend:
    """The legend of a plan's rollouts; without a plan, of what is going to be drawn.

    Args:
        plan: The plan.
        options: What is drawn.
        on_the_way: The policy's samples at an earlier flow time that are drawn instead.
    """
    if on_the_way is not None:
        shown = legend(on_the_way, options)
        return replace(shown, title=f"{shown.title}, at flow time {options.flow_time:.2f}")
    entries: list[tuple[str, Rgb]] = []
    gradient: tuple[Rgb, ...] = ()
    ticks: tuple[str, ...] = ()
    if plan is not None and not plan.rolled_out:
        return Legend("No rollouts: the policy acts without", ())
    cost = np.zeros(0) if plan is None else np.asarray(plan.cost, dtype=float)
    finite = cost[np.isfinite(cost)]
    if options.colour_by == "source":
        title = "Rollouts by source"
        found = [] if plan is None else np.unique(np.asarray(plan.source).astype(int)).tolist()
        entries += [(source_title(source), source_colour(source)) for source in found]
    else:
        title = "Rollouts by cost"
        gradient = tuple(_rgb(colour) for colour in cost_colours(np.linspace(0, 1, 7)))
        if len(finite):
            ticks = tuple(f"{value:.3g}" for value in np.percentile(finite, [0, 50, 100]))
    if options.best_plan:
        entries.append(("Best plan", BEST))
    diverged = len(cost) - len(finite)
    if diverged:
        entries.append((f"Diverged ({diverged})", DIVERGED))
    return Legend(title, tuple(entries), gradient, ticks)


def legend_html(shown: Legend) -> str:
    """The legend as a small HTML fragment with its own inline style."""
    parts = [
        f'<div style="font-size:0.8em;line-height:1.5"><b>{html.escape(shown.title)}</b>'
    ]  # fmt: skip
    if shown.gradient:
        stops = ",".join(_css(rgb) for rgb in shown.gradient)
        parts.append(
            '<div style="height:0.7em;border-radius:0.35em;margin:0.25em 0 0.1em;'
            f'background:linear-gradient(90deg,{stops})"></div>'
        )
    if shown.ticks:
        labels = "".join(f"<span>{html.escape(tick)}</span>" for tick in shown.ticks)
        parts.append(f'<div style="display:flex;justify-content:space-between">{labels}</div>')
    if shown.entries:
        chips = "".join(
            '<span style="white-space:nowrap"><span style="display:inline-block;width:0.8em;'
            f'height:0.8em;border-radius:0.2em;vertical-align:-0.08em;background:{_css(rgb)}">'
            f"</span>&nbsp;{html.escape(label)}</span>"
            for label, rgb in shown.entries
        )
        parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:0.1em 0.9em">{chips}</div>')
    return "".join(parts) + "</div>"


def _rgb(colour: np.ndarray) -> Rgb:
    red, green, blue = (round(float(value)) for value in colour)
    return red, green, blue


def _css(rgb: Rgb) -> str:
    return "rgb({},{},{})".format(*rgb)
