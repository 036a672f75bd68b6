"""The picture of the training curves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_INK, _FAINT, _GRID = "#1f2933", "#6b7785", "#e3e8ee"


@dataclass(frozen=True)
class Curve:
    """One line: which scalar, what people call it, and its colour."""

    scalar: str
    name: str
    colour: str


@dataclass(frozen=True)
class Panel:
    """One plot: a title that says what is measured, and its lines."""

    title: str
    curves: tuple[Curve, ...]
    log: bool = False
    percent: bool = False


_BLUE, _ORANGE, _GREEN = "#2f6fde", "#e07b1a", "#2a9d6f"

PANELS: Mapping[str, tuple[Panel, ...]] = {
    "gpc": (
        Panel("Flow-matching loss", (Curve("loss", "loss", _BLUE),), log=True),
        Panel(
            "States where a policy sample was the best",
            (Curve("policy_best", "policy", _ORANGE),),
            percent=True,
        ),
        Panel(
            "Cost of a rollout",
            (
                Curve("best_cost", "best of all samples", _GREEN),
                Curve("policy_cost", "best of the policy's", _ORANGE),
            ),
            log=True,
        ),
    ),
    "offline": (
        Panel(
            "Flow-matching loss",
            (Curve("loss", "training", _BLUE), Curve("validation_loss", "validation", _ORANGE)),
            log=True,
        ),
    ),
}
"""What is drawn of each method."""


def draw(path: Path, method: str, title: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """Writes the picture of all scalars so far, in one piece.

    Args:
        path: The PNG.
        method: A key of `PANELS`.
        title: What was trained.
        entries: Scalars by name with their `step`, oldest first.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = PANELS[method]
    figure = Figure(figsize=(4.6 * len(panels) + 0.4, 3.7), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold", color=_INK)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, panel in zip(axes, panels, strict=True):
        _draw_panel(ax, panel, entries)
        ax.set_xlabel("round" if method == "gpc" else "optimiser step", color=_FAINT, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    fresh = path.with_name(f".{path.name}.{os.getpid()}.png")
    try:
        figure.savefig(fresh)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _draw_panel(ax: Any, panel: Panel, entries: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import (
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        NullFormatter,
        PercentFormatter,
    )

    drawn = False
    for curve in panel.curves:
        points = [(e["step"], e[curve.scalar]) for e in entries if e.get(curve.scalar) is not None]
        if not points:
            continue
        drawn = True
        x, y = zip(*points, strict=True)
        marker = "o" if len(points) <= 60 else None
        ax.plot(x, y, color=curve.colour, lw=1.8, marker=marker, ms=3.5, label=curve.name)
        text = f"{100 * y[-1]:.0f} %" if panel.percent else f"{y[-1]:.3g}"
        ax.annotate(
            text, (x[-1], y[-1]), xytext=(5, 0), textcoords="offset points", va="center",
            fontsize=8.5, color=curve.colour,
        )  # fmt: skip
    ax.set_title(panel.title, loc="left", fontsize=10, color=_INK)
    if panel.log and drawn:
        ax.set_yscale("log")
        # Plain numbers, at places that a range of less than a decade has as well.
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    if panel.percent:
        ax.set_ylim(0.0, 1.0)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.grid(True, which="major", color=_GRID, lw=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(which="both", colors=_FAINT, labelsize=8.5, length=0)
    ax.margins(x=0.08)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(_FAINT)
    if len(panel.curves) > 1 and drawn:
        ax.legend(frameon=False, fontsize=8.5, labelcolor=_INK)
