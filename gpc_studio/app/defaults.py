"""The option values that a user's own task brings along, checked against the controllers."""

from __future__ import annotations

from collections.abc import Mapping

from gpc_studio.app.planners import controller_names
from gpc_studio.controllers.registry import default_options
from gpc_studio.models.controllers.options import PACKAGE
from gpc_studio.options import OptionError
from gpc_studio.scenes.source import TaskSource
from gpc_studio.scenes.task import Task


def check_defaults(task: Task) -> None:
    """Checks `Task.defaults`, which the task's own room cannot do: it does not know controllers.

    Raises:
        TaskError: A controller or an option is unknown, or a value is not acceptable; with file
            and line.
    """
    source = TaskSource.of(type(task))
    names = controller_names()
    for name, values in task.defaults.items():
        line = source.text_line("defaults", str(name))
        if name != "*" and name not in names:
            raise source.error(
                f'defaults: expected "*" for all controllers or one of {", ".join(names)},'
                f" got {name!r}",
                line,
            )
        if not isinstance(values, Mapping):
            raise source.error(
                f"defaults: {name}: expected a dict of option values, got {values!r}", line
            )
    for name in names:
        try:
            default_options(task, name, PACKAGE)
        except OptionError as error:
            line = source.text_line("defaults", error.name)
            raise source.error(str(error), line) from None
