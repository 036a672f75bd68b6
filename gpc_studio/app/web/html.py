"""The little HTML that panels show: all text is escaped, all style is in `style.css`."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

RGB = tuple[int, int, int]


@cache
def style_sheet() -> str:
    """The style sheet as an HTML element."""
    css = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
    return f"<style>{css}</style>"


def text(value: object) -> str:
    """`value` as text that is safe inside HTML."""
    return html.escape(str(value))


def css_color(color: RGB) -> str:
    """A colour for CSS."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def badge(label: str, kind: str) -> str:
    """A short word on a coloured ground; `kind` is a class of the style sheet."""
    return f'<span class="gpc-badge gpc-{text(kind)}">{text(label)}</span>'


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names on the left, values on the right."""
    body = "".join(f"<tr><td>{text(name)}</td><td>{text(value)}</td></tr>" for name, value in rows)
    return f'<table class="gpc-table">{body}</table>'


def bars(rows: Sequence[tuple[str, float, str, RGB]]) -> str:
    """One bar a row: name, share of the full width (0 to 1), value in words, colour."""
    body = "".join(
        f'<div class="gpc-bar"><span>{text(name)}</span>'
        f'<div><i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%;'
        f'background:{css_color(color)}"></i></div><b>{text(value)}</b></div>'
        for name, share, value, color in rows
    )
    return f'<div class="gpc-bars">{body}</div>'


def swatches(entries: Iterable[tuple[str, RGB]]) -> str:
    """A legend of coloured squares."""
    body = "".join(
        f'<span><i style="background:{css_color(color)}"></i>{text(name)}</span>'
        for name, color in entries
    )
    return f'<div class="gpc-swatches">{body}</div>'


def readable(name: str) -> str:
    """The name of a cost term as people read it: `final_speed` as `final speed`.

    It stays in lower case, so that the weight of a term `speed` is not taken for the `Speed` of
    the session.
    """
    return name.replace("_", " ")


def number(value: float) -> str:
    """Three significant digits, short enough for a narrow column."""
    if not math.isfinite(value):
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
