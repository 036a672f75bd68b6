"""Finds tasks by name: every folder here with a `task.py` is one."""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path

from gpc_studio.options import did_you_mean
from gpc_studio.scenes.errors import TaskError
from gpc_studio.scenes.task import Task


def task_names() -> tuple[str, ...]:
    """Names of the built-in tasks, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/task.py")))


def task_class(name: str) -> type[Task]:
    """Class of a built-in task. Importing it loads neither MuJoCo nor JAX.

    Raises:
        TaskError: There is no such task.
    """
    names = task_names()
    if name not in names:
        hint = did_you_mean(name, names)
        raise TaskError(
            f"no task {name!r}: expected one of {', '.join(names)}, or the path of a .py file{hint}"
        )
    module = importlib.import_module(f"gpc_studio.scenes.{name}.task")
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Task)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TaskError(
            f"expected one subclass of Task, got {len(found)}", Path(inspect.getfile(module))
        )
    return found[0]


def is_task_path(name: str | Path) -> bool:
    """Whether a task is given as a Python file rather than by name."""
    text = str(name)
    return isinstance(name, Path) or text.endswith(".py") or os.sep in text


def load_task(name_or_path: str | Path) -> Task:
    """A built-in task by name, or a user's own by the path of its Python file.

    Raises:
        TaskError: There is no such task, or the file has a mistake (with file and line).
    """
    if is_task_path(name_or_path):
        from gpc_studio.scenes.loader import load_task_file

        return load_task_file(name_or_path)
    return task_class(str(name_or_path))()
