"""Choice of the task."""

from __future__ import annotations

import inspect
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web.controls import add_control
from gpc_studio.options import Option
from gpc_studio.scenes import task_names

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session


class TaskPanel:
    """The dropdown of tasks: those of the program, and the user's own that the session runs."""

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        """Adds the dropdown to the open container."""
        self._session = session
        task = session.snapshot.task
        self._own_files: dict[str, str | Path] = {}
        if task.name not in task_names():
            with suppress(TypeError, OSError):  # Typed into an interpreter, it has no file.
                self._own_files[task.name] = Path(inspect.getfile(type(task))).resolve()
        choices = dict.fromkeys([*task_names(), task.name])
        option = Option(
            "task", str, task.name, choices=tuple(choices), label="Task", help="What is controlled."
        )
        self._choice = add_control(gui, option, task.name, self._choose)

    def _choose(self, name: str) -> None:
        task: str | Path = self._own_files.get(name, name)
        self._session.set_task(task)

    def update(self, snapshot: Snapshot) -> None:
        """Shows the task that runs, unless another is being prepared."""
        if not snapshot.preparing:
            self._choice.show(snapshot.task.name)
