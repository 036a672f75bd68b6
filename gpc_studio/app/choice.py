"""Tasks and controllers by the names that people type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpc_studio.app.errors import UsageError
from gpc_studio.options import did_you_mean

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.scenes.loader import TaskFile
    from gpc_studio.scenes.task import Task


def choose_task(name: str) -> Task:
    """A built-in task by name, or the user's own by file.

    Raises:
        UsageError: There is no such task, or the file has a mistake.
    """
    from gpc_studio.scenes import TaskError, load_task
    from gpc_studio.scenes.registry import is_task_path

    if is_task_path(name):
        task = choose_task_file(name).task
        assert task is not None
        return task
    try:
        return load_task(name)
    except TaskError as error:
        raise UsageError(str(error)) from None


def choose_task_file(path: str) -> TaskFile:
    """The file of a user's own task, loaded and checked.

    Raises:
        UsageError: The file has a mistake.
    """
    from gpc_studio.app.defaults import check_defaults
    from gpc_studio.scenes import TaskError
    from gpc_studio.scenes.loader import TaskFile

    file = TaskFile(path)
    try:
        check_defaults(file.load())
    except TaskError as error:
        raise UsageError(str(error)) from None
    return file


def choose_controller(task: Task, name: str) -> PlanningOptions:
    """The options of a controller for a task.

    Raises:
        UsageError: There is no such controller.
    """
    from gpc_studio.app.planners import controller_names, default_options

    known = controller_names()
    if name not in known:
        raise UsageError(
            f"no controller {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}"
        )
    return default_options(task, name)
