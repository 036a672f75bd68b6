"""Which checkpoints there are: those that ship with the program, and the user's own.

Both lie in one folder each, as `NAME.safetensors`; people and front ends say the name. A user's
checkpoint hides a shipped one of the same name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gpc_studio.files import data_dir
from gpc_studio.models.container import CheckpointError, in_one_line
from gpc_studio.options import did_you_mean

if TYPE_CHECKING:
    from gpc_studio.scenes.task import Task

SUFFIX = ".safetensors"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


def shipped_dir() -> Path:
    """Folder of the checkpoints that ship with the program."""
    return Path(__file__).resolve().parent / "checkpoints"


def user_dir() -> Path:
    """Folder of the user's checkpoints; it may not exist yet."""
    return data_dir() / "checkpoints"


def available(task: Task | type[Task]) -> tuple[str, ...]:
    """Names of the checkpoints that a task can use, best first.

    First come those trained on the task itself, among them the one that has its name; then those
    of `Task.policies_of`. Files that are no checkpoints are left out; `find` says what is wrong
    with them.
    """
    wanted = (task.name, *task.policies_of)
    ranked = []
    for name, path in _files().items():
        trained_on = _task_of(path)
        if trained_on in wanted:
            ranked.append((wanted.index(trained_on), name != trained_on, name))
    return tuple(name for *_, name in sorted(ranked))


def find(name: str, task: Task | type[Task]) -> Path:
    """The file of a checkpoint, by name.

    Args:
        name: Its name. As it may come from a browser, a path is refused.
        task: The task that it is for.

    Raises:
        CheckpointError: There is no such checkpoint; the message has those that there are.
    """
    files = _files()
    if name in files:
        return files[name]
    names = available(task)
    known = f"one of {', '.join(names)}{did_you_mean(name, names)}" if names else "none so far"
    raise CheckpointError(
        f"checkpoint {in_one_line(str(name))}",
        f"unknown; for {task.name} there is {known}: train one with `gpc-studio train {task.name}`",
    )


def find_or_path(text: str, task: Task | type[Task]) -> Path:
    """A checkpoint as people say it on a command line: its name, or the path of a file."""
    if text.endswith(SUFFIX) or "/" in text or "\\" in text:
        return Path(text).expanduser()
    return find(text, task)


def path_for(name: str) -> Path:
    """Where the user's checkpoint of a name lies, or will lie.

    Raises:
        CheckpointError: It is not a name of letters, digits, `_` and `-`.
    """
    if not _NAME.fullmatch(name):
        raise CheckpointError(
            f"checkpoint {in_one_line(name)}",
            "expected a name of at most 64 letters, digits, _ and -, starting with a letter or "
            f"digit: {sanitised(name)} would do",
        )
    return user_dir() / f"{name}{SUFFIX}"


def sanitised(text: str) -> str:
    """The name nearest to a text that a checkpoint may have."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:64]
    return name or "policy"


def _files() -> dict[str, Path]:
    """All files by name; a user's own come over those that ship."""
    return {
        path.stem: path
        for folder in (shipped_dir(), user_dir())
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        if _NAME.fullmatch(path.stem)
    }


def _task_of(path: Path) -> str | None:
    """The task that a file was trained on; None if it is no checkpoint."""
    from gpc_studio.models.checkpoint import task_of

    try:
        return task_of(path)
    except CheckpointError:
        return None
