"""What a study is: a published comparison that one command measures again."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from gpc_studio.app.errors import UsageError
from gpc_studio.app.reproduce.rows import Row
from gpc_studio.options import did_you_mean

if TYPE_CHECKING:
    from rich.console import RenderableType

STUDIES = "gpc_studio.app.reproduce.studies"


@dataclass(frozen=True)
class Context:
    """What was asked for, apart from the study itself.

    Attributes:
        folder: Where results are kept.
        episodes: Episodes of every row, or None for those of the study.
        seed: Seed from which those of all episodes are derived.
        jobs: Processes.
        batch: Episodes planned for at once, or None for those of the study.
        only: A part of the names of the rows to measure.
        checkpoints: Names or files of policies, by what the study calls them.
        typed: The command.
    """

    folder: Path
    episodes: int | None = None
    seed: int = 0
    jobs: int = 1
    batch: int | None = None
    only: str = ""
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    typed: str = ""


@dataclass(frozen=True)
class Shown:
    """What there is of a study.

    Attributes:
        terminal: For a terminal of 80 columns.
        markdown: The same as a file.
    """

    terminal: RenderableType
    markdown: str


@dataclass(frozen=True)
class Study(ABC):
    """A published comparison.

    Attributes:
        name: What people type.
        title: What it shows.
        source: The paper.
    """

    name: str
    title: str
    source: str

    @property
    def policies(self) -> Sequence[str]:
        """What `--checkpoint` can name."""
        return ()

    @abstractmethod
    def rows(self, context: Context) -> Sequence[Row]:
        """What is measured by `evaluate`.

        Raises:
            UsageError: A policy that was asked for cannot be had.
        """

    @abstractmethod
    def run(self, context: Context, rows: Sequence[Row]) -> int:
        """Measures what is missing; returns the exit code.

        Args:
            context: What was asked for.
            rows: Those of the study's that were asked for.
        """

    @abstractmethod
    def show(self, context: Context) -> Shown:
        """What is there; pictures are written beside it."""


@cache
def studies() -> Mapping[str, Study]:
    """All studies by name."""
    found = {}
    for module in pkgutil.iter_modules(importlib.import_module(STUDIES).__path__):
        contents = vars(importlib.import_module(f"{STUDIES}.{module.name}"))
        found |= {value.name: value for value in contents.values() if isinstance(value, Study)}
    return dict(sorted(found.items()))


def choose_study(name: str) -> Study:
    """The study called `name`.

    Raises:
        UsageError: There is none; the message lists those that there are.
    """
    known = studies()
    if name not in known:
        raise UsageError(f"no study {name!r}{did_you_mean(name, known)}; there are: "
                         f"{', '.join(known)}")  # fmt: skip
    return known[name]
