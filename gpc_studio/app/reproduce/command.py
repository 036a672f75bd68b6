"""`gpc-studio reproduce`: measures a published table again and prints both side by side."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from gpc_studio.app.errors import UsageError
from gpc_studio.app.reproduce.table import Row, Table, choose_table, tables


@dataclass(frozen=True)
class ReproduceOptions:
    """Measure a published table again, and print it beside the paper's.

    Every row is an evaluation of its own, whose results file stays: the same command goes on where
    it was interrupted, and more episodes are added to those that there are.
    """

    table: Annotated[str, tyro.conf.Positional] = ""
    """Name of the table; none lists those that there are."""
    episodes: int | None = None
    """Episodes of every row; by default those of the table."""
    seed: int = 0
    """Seed from which the seeds of all episodes are derived."""
    jobs: int = 1
    """Processes, which share the cores; results are the same for any number."""
    batch: int = 8
    """Episodes planned for at once in a process. Another size may round differently."""
    only: str = ""
    """Measure only rows whose name contains this, as `push_k` or `gpc_cem-10`."""
    show: bool = False
    """Print what is there, and measure nothing."""
    out: Path | None = None
    """Folder of the results; by default results/reproduce/TABLE_seedSEED."""


def command(arguments: Sequence[str]) -> int:
    """Measures and prints; returns the exit code."""
    wanted = tyro.cli(ReproduceOptions, args=list(arguments), prog="gpc-studio reproduce")
    from rich.console import Console

    console = Console()
    if not wanted.table:
        for table in tables().values():
            console.print(
                f"[bold]{table.name}[/]\n  {table.title}\n  [dim]{table.source}[/]", soft_wrap=True
            )
        return 0
    table = choose_table(wanted.table)
    folder = wanted.out or Path("results") / "reproduce" / f"{table.name}_seed{wanted.seed}"
    rows = [row for section in table.sections for row in section.rows if wanted.only in row.name]
    if not rows:
        names = ", ".join(row.name for section in table.sections for row in section.rows)
        raise UsageError(f"--only: expected a part of one of {names}, got {wanted.only!r}")
    code = 0
    if not wanted.show:
        code = _measure(wanted, table, rows, folder)
    finish(console, table, folder)
    return code


def finish(console: Any, table: Table, folder: Path) -> None:
    """Prints the table of what is in the folder, and keeps it there as Markdown."""
    from gpc_studio.app.reproduce.report import markdown_table, terminal_table
    from gpc_studio.files import write_atomically

    measured = found(table, folder)
    console.print(terminal_table(table, measured))
    if measured:
        write_atomically(folder / "table.md", markdown_table(table, measured).encode())


def found(table: Table, folder: Path) -> dict[str, Mapping[str, Any]]:
    """Rows that have been measured, by name.

    Raises:
        UsageError: A file is no results file.
    """
    measured = {}
    for section in table.sections:
        for row in section.rows:
            path = results_path(folder, row)
            if path.exists():
                try:
                    measured[row.name] = json.loads(path.read_text(encoding="utf-8"))["rows"][0]
                except (ValueError, KeyError, IndexError) as error:
                    raise UsageError(
                        f"{path}: not a results file ({error!r:.80}); remove it"
                    ) from None
    return measured


def results_path(folder: Path, row: Row) -> Path:
    """Results file of a row."""
    return folder / f"{row.name}.json"


def _measure(wanted: ReproduceOptions, table: Table, rows: Sequence[Row], folder: Path) -> int:
    from gpc_studio.app.evaluate.command import EvaluateOptions, run_to_end

    for number, row in enumerate(rows, 1):
        print(f"{number} of {len(rows)}: {row.name}", file=sys.stderr)
        options = EvaluateOptions(
            task=row.task,
            controllers=row.controller,
            episodes=wanted.episodes or table.episodes,
            seed=wanted.seed,
            jobs=wanted.jobs,
            batch=wanted.batch,
            set=tuple(f"{name}={value}" for name, value in row.options.items()),
            out=results_path(folder, row),
        )
        code = run_to_end(options, typed(options))
        if code != 0:
            return code
    return 0


def typed(options: Any) -> str:
    """The `evaluate` command that measures the same row."""
    changes = [part for change in options.set for part in ("--set", change)]
    return shlex.join([
        "gpc-studio", "evaluate", options.task, "--controllers", options.controllers,
        "--episodes", str(options.episodes), "--seed", str(options.seed),
        "--batch", str(options.batch), *changes, "--out", str(options.out),
    ])  # fmt: skip
