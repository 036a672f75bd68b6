"""Which policy a study uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from gpc_studio.app.errors import UsageError
from gpc_studio.app.planners import CHECKPOINT
from gpc_studio.app.reproduce.rows import Measured
from gpc_studio.app.reproduce.study import Context
from gpc_studio.scenes.task import Task


def chosen(context: Context, what: str, task: Task, *preferred: str) -> str:
    """Name or file of the policy: the one asked for, else one of some names, else the task's own.

    Args:
        context: What was asked for.
        what: What the study calls it.
        task: The task that it is for.
        preferred: Names to look for before the task's default policy.

    Returns:
        "" where there is none; `need` tells how to get one.

    Raises:
        UsageError: The one that was asked for does not exist.
    """
    from gpc_studio.app.planners import default_checkpoint
    from gpc_studio.models import library

    if what in context.checkpoints:
        return str(located(context.checkpoints[what], task)[0])
    names = library.available(task)
    return next((name for name in preferred if name in names), "") or default_checkpoint(task)


def located(name: str, task: Task) -> tuple[str, Path]:
    """The name of a policy, and its file.

    Raises:
        UsageError: There is none.
    """
    from gpc_studio.models import library

    try:
        path = library.find_or_path(name, task)
    except library.CheckpointError as error:
        raise UsageError(str(error)) from None
    if not path.is_file():
        raise UsageError(f"checkpoint {name}: no such file")
    return name, path


def used(rows: Iterable[Measured]) -> str:
    """Which policies measured rows were measured with, in their order."""
    names = [row.get("options", {}).get(CHECKPOINT, "") for row in rows]
    return ", ".join(dict.fromkeys(name for name in names if name))


def need(policies: Mapping[str, str], commands: Mapping[str, str]) -> None:
    """Checks that there are policies, before anything is measured.

    Args:
        policies: From `chosen`, by what the study calls them.
        commands: The commands that make them.

    Raises:
        UsageError: One is missing.
    """
    for what, name in policies.items():
        if not name:
            raise UsageError(f"no policy for {what}: `{commands[what]}` makes one, or name one "
                             f"with --checkpoint {what}=NAME")  # fmt: skip
