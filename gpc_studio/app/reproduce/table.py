"""A study that is a published table of success, steps and CEM ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpc_studio.app.reproduce import rows as measuring
from gpc_studio.app.reproduce.rows import Row
from gpc_studio.app.reproduce.study import Context, Shown, Study

BATCH = 8


@dataclass(frozen=True)
class Section:
    """Rows under one heading."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table(Study):
    """A published table.

    Attributes:
        sections: Its rows.
        episodes: Episodes of every row unless other many are asked for.
        notes: Choices that the paper leaves open, and what differs from it.
    """

    sections: tuple[Section, ...]
    episodes: int
    notes: tuple[str, ...] = ()

    def rows(self, context: Context) -> Sequence[Row]:
        """See `Study.rows`."""
        del context
        return [row for section in self.sections for row in section.rows]

    def run(self, context: Context, rows: Sequence[Row]) -> int:
        """See `Study.run`."""
        return measuring.measure(context, rows, episodes=self.episodes, batch=BATCH)

    def show(self, context: Context) -> Shown:
        """See `Study.show`."""
        from gpc_studio.app.reproduce.report import markdown_table, terminal_table

        measured = measuring.found(context.folder, self.rows(context))
        return Shown(terminal_table(self, measured), markdown_table(self, measured))
