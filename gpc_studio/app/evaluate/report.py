"""What an evaluation shows on the terminal: progress, and a table at the end."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from gpc_studio.app.evaluate.runner import Finished, Underway


class ProgressBars:
    """A bar for every controller, with the success so far and the time to go."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[ended]}/{task.fields[all]}"),
            TextColumn("{task.fields[success]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._bars: dict[str, TaskID] = {}
        self._underway: dict[tuple[str, int], float] = {}

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def add(self, row: Mapping[str, Any], episodes: int) -> None:
        """Adds the bar of a controller, of which `row` holds what was done before."""
        done = len(row["episodes"])
        self._bars[row["controller"]] = self._progress.add_task(
            row["controller"], total=episodes, completed=done, start=False,
            ended=done, all=episodes, success=_success(row),
        )  # fmt: skip

    def show(self, event: Finished | Underway, row: Mapping[str, Any]) -> None:
        """Brings the bar of the event's controller up to date."""
        bar = self._bars[event.controller]
        self._progress.start_task(bar)
        if isinstance(event, Underway):
            self._underway[event.controller, event.worker] = event.episodes
        ended = len(row["episodes"])
        underway = sum(
            part for (name, _), part in self._underway.items() if name == event.controller
        )
        self._progress.update(bar, completed=ended + underway, ended=ended, success=_success(row))


def compact_table(title: str) -> Table:
    """A table without frame that fits a terminal of 80 columns."""
    return Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
        pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip


def results_table(content: Mapping[str, Any]) -> Group:
    """The rows of a results file as a table, with a legend."""
    seed, batch = content["settings"]["seed"], content["settings"]["batch"]
    table = compact_table(f"{content['task']}, seed {seed}")
    for name in ("controller", "engine"):
        table.add_column(name, no_wrap=True)
    rows = content["rows"]
    mixed = any("cem_ratio_mean" in row for row in rows)
    for name in ("episodes", "success", "95 %", "steps", "plan ms", *["CEM ratio"] * mixed):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        low, high = row["wilson95"]
        table.add_row(
            row["controller"],
            row["engine"] or "-",
            str(len(row["episodes"])),
            "-" if row["success_rate"] is None else f"{row['success_rate']:.3f}",
            f"{low:.3f}-{high:.3f}",
            _mean_and_sd(row["steps_mean"], row["steps_sd"]),
            "-" if row["plan_ms_median"] is None else f"{row['plan_ms_median']:.3f}",
            *[_mean_and_sd(row.get("cem_ratio_mean"), row.get("cem_ratio_sd"), 2)] * mixed,
        )
    legend = (
        "95 %: Wilson interval of the success. steps: until the goal was reached, mean ± sd of the"
        f" successful episodes. plan ms: median time of one planning step of {batch} episodes at"
        f" once, divided by {batch}."
    )
    if mixed:
        legend += (
            " CEM ratio: share of the plans whose best sample was not the policy's, mean ± sd of"
            " the episodes."
        )
    return Group(table, Text(legend, "dim"))


def _mean_and_sd(mean: float | None, sd: float | None, digits: int = 1) -> str:
    if mean is None:
        return "-"
    return f"{mean:.{digits}f}" if sd is None else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _success(row: Mapping[str, Any]) -> str:
    rate = row["success_rate"]
    return "" if rate is None else f"success {100 * rate:.0f} %"
