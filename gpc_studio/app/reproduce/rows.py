"""Rows of a study: evaluations of one controller on one task, each with a results file."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpc_studio.app.errors import UsageError

if TYPE_CHECKING:
    from gpc_studio.app.evaluate.command import EvaluateOptions
    from gpc_studio.app.evaluate.course import Course
    from gpc_studio.app.reproduce.study import Context

Measured = Mapping[str, Any]
"""The row of a results file of `evaluate`; empty for one that is not measured yet."""


@dataclass(frozen=True)
class Published:
    """Figures of the paper; None where it gives none.

    Attributes:
        success: Success rate.
        interval: Its 95 % interval.
        steps: Mean steps to success.
        steps_sd: Their standard deviation.
        cem_ratio: Mean share of the plans whose best sample was not the policy's.
        cem_ratio_sd: Its standard deviation over the episodes.
        cost: Mean cost of a step.
        cost_sd: Its standard deviation over the starts.
    """

    success: float | None = None
    interval: tuple[float, float] | None = None
    steps: float | None = None
    steps_sd: float | None = None
    cem_ratio: float | None = None
    cem_ratio_sd: float | None = None
    cost: float | None = None
    cost_sd: float | None = None


@dataclass(frozen=True)
class Row:
    """One controller on one task.

    Attributes:
        name: Identifier within the study; the name of its results file.
        title: What people call it.
        task: Name of the task.
        controller: Name of the controller.
        options: Options that differ from the task's defaults, as typed after `--set`.
        paper: What was published.
        weights: Cost weights that differ from the task's, as typed after `--weight`.
        course: How episodes go on where success does not end them, and what is measured.
        episodes: Episodes, or trials of the course, where it must not be those of all rows.
    """

    name: str
    title: str
    task: str
    controller: str
    options: Mapping[str, str] = field(default_factory=dict)
    paper: Published = field(default_factory=Published)
    weights: Mapping[str, str] = field(default_factory=dict)
    course: Course | None = None
    episodes: int | None = None


def results_path(folder: Path, row: Row) -> Path:
    """Results file of a row."""
    return folder / f"{row.name}.json"


def found(folder: Path, rows: Sequence[Row]) -> dict[str, Measured]:
    """Rows that have been measured, by name.

    Raises:
        UsageError: A file is no results file.
    """
    measured = {}
    for row in rows:
        path = results_path(folder, row)
        if not path.exists():
            continue
        try:
            measured[row.name] = json.loads(path.read_text(encoding="utf-8"))["rows"][0]
        except (ValueError, KeyError, IndexError) as error:
            raise UsageError(f"{path}: not a results file ({error!r:.80}); remove it") from None
    return measured


def measure(context: Context, rows: Sequence[Row], *, episodes: int, batch: int) -> int:
    """Measures what is missing of the rows, one after the other; returns the exit code.

    Args:
        context: What was asked for.
        rows: What to measure.
        episodes: Episodes, or trials, of every row unless others were asked for.
        batch: Episodes planned for at once unless others were asked for.

    Raises:
        UsageError: A row cannot be measured, or its file holds results of other settings.
    """
    from gpc_studio.app.evaluate.command import EvaluateOptions, run_to_end

    for number, row in enumerate(rows, 1):
        print(f"{number} of {len(rows)}: {row.name}", file=sys.stderr)
        wanted = EvaluateOptions(
            task=row.task,
            controllers=row.controller,
            episodes=row.episodes or context.episodes or episodes,
            seed=context.seed,
            jobs=context.jobs,
            batch=context.batch or batch,
            set=typed(row.options),
            weight=typed(row.weights),
            out=results_path(context.folder, row),
        )
        command = context.typed if row.course else as_evaluation(wanted)
        code = run_to_end(wanted, command, row.course, table=False)
        if code != 0:
            return code
    return 0


def as_evaluation(wanted: EvaluateOptions) -> str:
    """The `evaluate` command that measures the same row."""
    changes = [part for change in wanted.set for part in ("--set", change)]
    changes += [part for change in wanted.weight for part in ("--weight", change)]
    return shlex.join([
        "gpc-studio", "evaluate", wanted.task, "--controllers", wanted.controllers,
        "--episodes", str(wanted.episodes), "--seed", str(wanted.seed),
        "--batch", str(wanted.batch), *changes, "--out", str(wanted.out),
    ])  # fmt: skip


def typed(changes: Mapping[str, str]) -> tuple[str, ...]:
    """Options or weights as they are typed: `("horizon=0.5",)`."""
    return tuple(f"{name}={value}" for name, value in changes.items())


def flags(options: Mapping[str, str], weights: Mapping[str, str]) -> str:
    """The same with their flags: `--set horizon=0.5 --weight position=0`."""
    words = [f"--set {change}" for change in typed(options)]
    return " ".join([*words, *(f"--weight {change}" for change in typed(weights))])
