"""Choice of the task."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web.controls import add_control
from gpc_studio.options import Option
from gpc_studio.scenes import task_names
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session


class TaskPanel:
    """The dropdown of tasks: those of the program, and the user's own that the session runs."""

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        """Adds the dropdown to the open container."""
        task = session.snapshot.task
        self._own_files: dict[str, Path] = {}
        if task.name not in task_names():
            self._own_files[task.name] = _defining_file(task)
        choices = (*task_names(), *self._own_files)
        option = Option(
            "task", str, task.name, choices=choices, label="Task", help="What is controlled."
        )
        self._choice = add_control(
            gui, option, task.name,
            lambda name: session.set_task(self._own_files.get(name, name)),
        )  # fmt: skip

    def update(self, snapshot: Snapshot) -> None:
        """Shows the task that runs, unless another is being prepared."""
        if not snapshot.preparing:
            self._choice.show(snapshot.task.name)


def _defining_file(task: Task) -> Path:
    return Path(inspect.getfile(type(task))).resolve()
