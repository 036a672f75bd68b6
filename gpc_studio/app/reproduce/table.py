"""What a published table is, and how one of its rows is measured."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from gpc_studio.app.errors import UsageError
from gpc_studio.options import did_you_mean

TABLES = "gpc_studio.app.reproduce.tables"


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
    """

    success: float | None = None
    interval: tuple[float, float] | None = None
    steps: float | None = None
    steps_sd: float | None = None
    cem_ratio: float | None = None
    cem_ratio_sd: float | None = None


@dataclass(frozen=True)
class Row:
    """One controller on one task.

    Attributes:
        name: Identifier within the table; the name of its results file.
        title: What the paper calls it.
        task: Name of the task.
        controller: Name of the controller.
        options: Options that differ from the task's defaults, as typed after `--set`.
        paper: What was published.
    """

    name: str
    title: str
    task: str
    controller: str
    options: Mapping[str, str] = field(default_factory=dict)
    paper: Published = field(default_factory=Published)


@dataclass(frozen=True)
class Section:
    """Rows under one heading."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A published table.

    Attributes:
        name: What people type.
        title: What it shows.
        source: The paper.
        sections: Its rows.
        episodes: Episodes of every row unless other many are asked for.
        notes: Choices that the paper leaves open, and what differs from it.
    """

    name: str
    title: str
    source: str
    sections: tuple[Section, ...]
    episodes: int
    notes: tuple[str, ...] = ()


@cache
def tables() -> Mapping[str, Table]:
    """All tables by name."""
    found = {}
    for module in pkgutil.iter_modules(importlib.import_module(TABLES).__path__):
        contents = vars(importlib.import_module(f"{TABLES}.{module.name}"))
        found |= {value.name: value for value in contents.values() if isinstance(value, Table)}
    return dict(sorted(found.items()))


def choose_table(name: str) -> Table:
    """The table called `name`.

    Raises:
        UsageError: There is none; the message lists those that there are.
    """
    known = tables()
    if name not in known:
        hint = did_you_mean(name, known)
        raise UsageError(f"no table {name!r}{hint}; there are: {', '.join(known)}")
    return known[name]
