"""`gpc-studio reproduce`: measures a published comparison again and prints both side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gpc_studio.app.arguments import settings
from gpc_studio.app.errors import UsageError
from gpc_studio.app.reproduce.study import Context, Study, choose_study, studies
from gpc_studio.options import did_you_mean


@dataclass(frozen=True)
class ReproduceOptions:
    """Measure a published table or figure again, and print it beside the paper's.

    Every row is an evaluation of its own, whose results file stays: the same command goes on where
    it was interrupted, and more episodes are added to those that there are.
    """

    study: Annotated[str, tyro.conf.Positional] = ""
    """Name of the study; none lists those that there are."""
    episodes: int | None = None
    """Episodes, or random starts, of every row; by default those of the study."""
    seed: int = 0
    """Seed from which the seeds of all episodes are derived."""
    jobs: int = 1
    """Processes, which share the cores; results are the same for any number."""
    batch: int | None = None
    """Episodes planned for at once in a process; by default those of the study. Another size may
    round differently."""
    only: str = ""
    """Measure only the row of this name, or those whose name contains it, as `push_k`."""
    checkpoint: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A policy by its name or file, as in `--checkpoint pendulum=NAME`; may be repeated. What can
    be named, and what is taken otherwise, docs/reproduce.md tells for every study."""
    show: bool = False
    """Print what is there, and measure nothing."""
    out: Path | None = None
    """Folder of the results; by default results/reproduce/STUDY_seedSEED."""


def command(arguments: Sequence[str]) -> int:
    """Measures and prints; returns the exit code."""
    wanted = tyro.cli(ReproduceOptions, args=list(arguments), prog="gpc-studio reproduce")
    from rich.console import Console

    console = Console()
    if not wanted.study:
        for study in studies().values():
            console.print(
                f"[bold]{study.name}[/]\n  {study.title}\n  [dim]{study.source}[/]", soft_wrap=True
            )
        return 0
    study = choose_study(wanted.study)
    context = _context(wanted, study, shlex.join(["gpc-studio", "reproduce", *arguments]))
    all_rows = study.rows(context)
    rows = [row for row in all_rows if row.name == wanted.only]
    rows = rows or [row for row in all_rows if wanted.only in row.name]
    if not rows:
        names = ", ".join(row.name for row in all_rows)
        raise UsageError(f"--only: expected a part of one of {names}, got {wanted.only!r}")
    code = 0
    if not wanted.show:
        code = study.run(context, rows)

    from gpc_studio.files import write_atomically

    shown = study.show(context)
    console.print(shown.terminal)
    if context.folder.is_dir():
        write_atomically(context.folder / "table.md", shown.markdown.encode())
        console.print(f"[dim]{context.folder}/[/]", soft_wrap=True, highlight=False)
    return code


def _context(wanted: ReproduceOptions, study: Study, typed: str) -> Context:
    for name, value in (("--episodes", wanted.episodes), ("--batch", wanted.batch)):
        if value is not None and value < 1:
            raise UsageError(f"{name}: expected a whole number of at least 1, got {value}")
    checkpoints = {}
    for pair in wanted.checkpoint:
        ((what, name),) = settings((pair,), "--checkpoint").items()
        if what not in study.policies:
            known = ", ".join(study.policies) or "none"
            raise UsageError(
                f"--checkpoint {pair}: {study.name} takes policies for {known}"
                f"{did_you_mean(what, study.policies)}"
            )
        checkpoints[what] = name
    return Context(
        folder=wanted.out or Path("results") / "reproduce" / f"{study.name}_seed{wanted.seed}",
        episodes=wanted.episodes,
        seed=wanted.seed,
        jobs=wanted.jobs,
        batch=wanted.batch,
        only=wanted.only,
        checkpoints=checkpoints,
        typed=typed,
    )
