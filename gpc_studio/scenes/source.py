"""Where things stand in the file that defines a task, for messages with file and line."""

from __future__ import annotations

import ast
import inspect
import traceback
from pathlib import Path

from gpc_studio.scenes.errors import TaskError


class TaskSource:
    """The Python file of a task class.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, text: str, class_name: str) -> None:
        self.path = path
        self._class = next(
            (
                node
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ClassDef) and node.name == class_name
            ),
            None,
        )

    @classmethod
    def of(cls, task_class: type) -> TaskSource:
        """Reads the file that defines a class."""
        path = Path(inspect.getfile(task_class))
        return cls(path, path.read_text(encoding="utf-8"), task_class.__name__)

    @property
    def class_line(self) -> int:
        """Line of the `class` statement."""
        return self._class.lineno if self._class is not None else 1

    def member_line(self, name: str) -> int:
        """Line of an attribute or method of the class; of the class if it is inherited."""
        member = self._member(name)
        return member.lineno if member is not None else self.class_line

    def text_line(self, member_name: str, text: str) -> int:
        """Line of a string inside an attribute or method; of the member if there is none."""
        member = self._member(member_name)
        for node in ast.walk(member) if member is not None else ():
            if isinstance(node, ast.Constant) and node.value == text:
                return node.lineno
        return self.member_line(member_name)

    def error(self, problem: str, line: int | None = None) -> TaskError:
        """An error in this file; in the class as a whole unless a line is given."""
        return TaskError(problem, self.path, self.class_line if line is None else line)

    def raised(self, error: BaseException, member_name: str) -> TaskError:
        """The error for an exception that came out of a member of the class."""
        line = deepest_line(error, self.path) or self.member_line(member_name)
        return self.error(f"{member_name} raised {in_short(error)}", line)

    def _member(self, name: str) -> ast.stmt | None:
        for node in self._class.body if self._class is not None else ():
            targets: list[ast.expr] = []
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.AnnAssign):
                targets = [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node
        return None


def deepest_line(error: BaseException, path: Path) -> int | None:
    """Line of a file at which an exception arose, or None if it did not pass through the file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return lines[-1] if lines else None


def in_short(error: BaseException) -> str:
    """Type and first paragraph of an exception, in one line of at most 300 characters."""
    text = " ".join(str(error).split("\n\n")[0].split())
    text = text if len(text) <= 300 else text[:297] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
