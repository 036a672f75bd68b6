"""The error that a task can be blamed for."""

from __future__ import annotations

from pathlib import Path


class TaskError(ValueError):
    """A task that does not exist or does not work.

    Its text starts with file and line where they are known, as compilers write them.

    Attributes:
        problem: What was expected and what was found, without the place.
        path: File at fault, or None.
        line: Line at fault, from 1, or None.
    """

    def __init__(self, problem: str, path: Path | None = None, line: int | None = None) -> None:
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + problem)
        self.problem = problem
        self.path = path
        self.line = line
