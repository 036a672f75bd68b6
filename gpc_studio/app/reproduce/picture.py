"""Pictures that studies write beside their results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1f2933", "#6b7785", "#e3e8ee"
BLUE, ORANGE, GREEN = "#2f6fde", "#e07b1a", "#2a9d6f"


def new_figure(title: str, width: float, height: float) -> Figure:
    """An empty picture, sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def plain(axes: Any, title: str) -> None:
    """Makes a plot light: a title at the left, faint ticks and grid, no box."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.grid(True, which="major", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=FAINT, labelsize=8.5, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)


def save(figure: Figure, path: Path) -> None:
    """Writes a picture in one piece."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.png")
    try:
        figure.savefig(fresh)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
