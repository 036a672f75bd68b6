"""A measured table beside the published one: on the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from gpc_studio.app.evaluate.report import compact_table
from gpc_studio.app.reproduce.rows import Measured, Row
from gpc_studio.app.reproduce.study import Shown

if TYPE_CHECKING:
    from gpc_studio.app.reproduce.study import Study
    from gpc_studio.app.reproduce.table import Table

COLUMNS = ("", "episodes", "success", "paper", "steps", "paper", "CEM ratio", "paper")


@dataclass(frozen=True)
class Grid:
    """One table: its columns, the first of them a title, and its cells."""

    title: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


def shown(study: Study, grids: Sequence[Grid], notes: Sequence[str]) -> Shown:
    """Tables with notes below them, for the terminal and as Markdown."""
    parts: list[Any] = []
    lines = [f"**{study.title}**. {study.source}.", ""]
    for grid in grids:
        drawn = compact_table(grid.title)
        for place, name in enumerate(grid.columns):
            drawn.add_column(name, justify="right" if place else "left", no_wrap=True)
        for cells in grid.cells:
            drawn.add_row(*cells)
        parts.append(drawn)
        lines += [_line((grid.title, *grid.columns[1:]))]
        lines += [_line(("---",) + ("--:",) * (len(grid.columns) - 1))]
        lines += [*map(_line, grid.cells), ""]
    told = [Text(note, "dim") for note in (study.source, *notes)]
    markdown = "\n".join([*lines, *(f"- {note}" for note in notes), ""])
    return Shown(Group(Text(study.title, "bold"), *parts, *told), markdown)


def terminal_table(table: Table, measured: Mapping[str, Measured]) -> Group:
    """The table for a terminal of 80 columns: below each row the paper's figures."""
    parts = []
    for section in table.sections:
        drawn = compact_table(section.title)
        for place, name in enumerate(("", "n", "success", "steps", "CEM ratio")):
            drawn.add_column(name, justify="right" if place else "left", no_wrap=True)
        for row in section.rows:
            title, episodes, *cells = row_cells(row, measured.get(row.name, {}))
            drawn.add_row(title, episodes, *cells[0::2])
            if row.paper.success is not None:
                drawn.add_row("  paper", "", *cells[1::2], style="dim")
        parts.append(drawn)
    notes = (Text(note, "dim") for note in (table.source, *table.notes))
    return Group(Text(table.title, "bold"), *parts, *notes)


def markdown_table(table: Table, measured: Mapping[str, Measured]) -> str:
    """The table as Markdown."""
    lines = [f"**{table.title}**. {table.source}.", ""]
    for section in table.sections:
        lines += [_line((section.title, *COLUMNS[1:])), _line(("---",) + ("--:",) * 7)]
        lines += [_line(row_cells(row, measured.get(row.name, {}))) for row in section.rows]
        lines.append("")
    return "\n".join([*lines, *(f"- {note}" for note in table.notes), ""])


def row_cells(row: Row, measured: Measured) -> tuple[str, ...]:
    """The cells of one row, a dash for what there is not."""
    paper = row.paper
    episodes = measured.get("episodes") or []
    return (
        row.title,
        str(len(episodes)) if episodes else "-",
        success_text(measured.get("success_rate"), measured.get("wilson95")),
        success_text(paper.success, paper.interval),
        spread_text(measured.get("steps_mean"), measured.get("steps_sd"), 0),
        spread_text(paper.steps, paper.steps_sd, 0),
        spread_text(measured.get("cem_ratio_mean"), measured.get("cem_ratio_sd"), 2),
        spread_text(paper.cem_ratio, paper.cem_ratio_sd, 2),
    )


def success_text(rate: float | None, interval: Any) -> str:
    """A rate and its 95 % interval, or a dash."""
    if rate is None:
        return "-"
    low, high = interval
    return f"{rate:.3f} ({low:.3f}-{high:.3f})"


def spread_text(mean: float | None, sd: float | None, digits: int) -> str:
    """Mean and standard deviation, or a dash."""
    if mean is None:
        return "-"
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
