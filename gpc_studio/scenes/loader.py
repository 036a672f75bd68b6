"""A user's own task: one Python file beside its MJCF, loaded and reloaded."""

from __future__ import annotations

import inspect
import linecache
import sys
import types
import zlib
from pathlib import Path

from gpc_studio.scenes.errors import TaskError
from gpc_studio.scenes.source import deepest_line, in_short
from gpc_studio.scenes.task import Task
from gpc_studio.scenes.validation import model_files, validate_class, validate_task


def load_task_file(path: str | Path) -> Task:
    """Executes a Python file and returns the one task that it defines, checked.

    The source is read anew at every call, past every cache of modules and bytecode.

    Args:
        path: A Python file that defines one subclass of `Task`.

    Raises:
        TaskError: Anything wrong with the file, its task or its model, with file and line.
    """
    path = Path(path).expanduser().resolve()
    task_class = _load_class(path)
    validate_class(task_class)
    try:
        task = task_class()
    except Exception as error:
        raise TaskError(
            f"making the task raised {in_short(error)}", path, deepest_line(error, path)
        ) from error
    validate_task(task)
    return task


class TaskFile:
    """A task file that is watched: poll `changed`, then `load`.

    Attributes:
        path: The Python file.
        task: The task of the newest load that went well, or None.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().resolve()
        self.task: Task | None = None
        self._files = [self.path]
        self._seen: dict[Path, bytes] = {}

    def load(self) -> Task:
        """Loads the task as the files are now; see `load_task_file`."""
        # Contents are remembered before they are used: a change during loading is seen later.
        self._seen = self._contents()
        try:
            self.task = load_task_file(self.path)
            return self.task
        finally:
            self._watch_model()

    def changed(self) -> bool:
        """Whether the Python file, the MJCF or a file it includes differs from the last load.

        A file that is being replaced and does not exist for a moment does not count.
        """
        now = self._contents()
        return self.path in now and any(
            self._seen.get(path) != content for path, content in now.items()
        )

    def _contents(self) -> dict[Path, bytes]:
        contents = {}
        for path in self._files:
            try:
                contents[path] = path.read_bytes()
            except OSError:
                continue
        return contents

    def _watch_model(self) -> None:
        """Adds the model's files; without a class that names them, those known so far stay."""
        module = sys.modules.get(_module_name(self.path))
        for task_class in _task_classes(module) if module is not None else ():
            mjcf = getattr(task_class, "mjcf", None)
            if isinstance(mjcf, str):
                files = model_files((self.path.parent / mjcf).resolve())
                self._files = list(dict.fromkeys([self.path, *files]))
        for path, content in self._contents().items():
            self._seen.setdefault(path, content)


def _load_class(path: Path) -> type[Task]:
    try:
        source = path.read_text(encoding="utf-8")
        code = compile(source, str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise TaskError(f"cannot read the task: {error.strerror}", path) from error
    except SyntaxError as error:
        raise TaskError(f"syntax error: {error.msg}", path, error.lineno) from error
    except ValueError as error:
        raise TaskError(f"expected Python source in UTF-8, got {in_short(error)}", path) from error

    linecache.checkcache(str(path))
    name = _module_name(path)
    module = types.ModuleType(name)
    module.__file__ = str(path)
    # Classes find their file through the module's entry. It is kept on failure too, so that
    # tracebacks and the watcher find the newest source; an older task has the same file.
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        raise TaskError(
            f"importing the task raised {in_short(error)}", path, deepest_line(error, path)
        ) from error

    classes = _task_classes(module)
    if len(classes) != 1:
        found = ", ".join(cls.__name__ for cls in classes) or "none"
        line = _class_line(classes[1]) if classes else 1
        raise TaskError(
            f"expected one subclass of gpc_studio.scenes.Task in this file, got {found}", path, line
        )
    return classes[0]


def _task_classes(module: types.ModuleType) -> list[type[Task]]:
    """Task classes that a module itself defines, except those that others there build on."""
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Task)
        and value.__module__ == module.__name__
    ]
    own = list(dict.fromkeys(own))
    return [
        cls for cls in own if not any(other is not cls and issubclass(other, cls) for other in own)
    ]


def _class_line(cls: type) -> int:
    from gpc_studio.scenes.source import TaskSource

    return TaskSource.of(cls).class_line


def _module_name(path: Path) -> str:
    return f"gpc_studio_task_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
