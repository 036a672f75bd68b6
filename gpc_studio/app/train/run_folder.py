"""The folder of one training, beside its checkpoint."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpc_studio.app.errors import UsageError
from gpc_studio.files import write_atomically
from gpc_studio.models.training.dataset import difference

_SETTINGS = "settings.json"
_STATE = "state.safetensors"
_METRICS = "metrics.jsonl"


class RunFolder:
    """What is kept of a training: settings, the state to go on from, metrics, pictures.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def state(self) -> Path:
        """File of the state to go on from."""
        return self.path / _STATE

    @property
    def picture(self) -> Path:
        """File of the training curves."""
        return self.path / "curves.png"

    @property
    def data(self) -> Path:
        """Folder of the dataset that this training collects for itself."""
        return self.path / "data"

    def round_checkpoint(self, number: int) -> Path:
        """File of the policy after a round, counted from 1."""
        return self.path / f"round_{number:03d}.safetensors"

    @property
    def begun(self) -> bool:
        """Whether there is a training in the folder, finished or not."""
        return (self.path / _SETTINGS).exists()

    def begin(self, settings: Mapping[str, Any], *, fresh: bool) -> bool:
        """Makes the folder, or goes on with it.

        Args:
            settings: Everything that the result depends on.
            fresh: Drop what there is.

        Returns:
            Whether the training is already finished.

        Raises:
            UsageError: The folder holds a training with other settings.
        """
        wanted = json.loads(json.dumps(settings))
        path = self.path / _SETTINGS
        if fresh:
            self._clear()
        if path.exists():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                found, finished = content["settings"], bool(content["finished"])
            except (OSError, ValueError, KeyError, TypeError):
                raise UsageError(f"{path}: damaged; --fresh begins again") from None
            differs = difference(found, wanted)
            if differs:
                raise UsageError(
                    f"{self.path} holds a training with other settings ({differs}); "
                    "give another --name, or --fresh to begin again"
                )
            return finished
        self._write(wanted, finished=False)
        return False

    def finish(self, settings: Mapping[str, Any]) -> None:
        """Notes that the training is finished, and drops what only going on needs."""
        self._write(json.loads(json.dumps(settings)), finished=True)
        self.state.unlink(missing_ok=True)

    def metrics(self) -> list[dict[str, Any]]:
        """The scalars so far, oldest first; half a line at the end is skipped."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.path / _METRICS).read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def keep_metrics(self, before: int) -> None:
        """Drops scalars of a step from `before` on: they will be measured again."""
        kept = [entry for entry in self.metrics() if entry.get("step", 0) < before]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        write_atomically(self.path / _METRICS, text.encode())

    def add_metrics(self, entry: Mapping[str, Any]) -> None:
        """Appends scalars."""
        with (self.path / _METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _write(self, settings: Mapping[str, Any], *, finished: bool) -> None:
        text = json.dumps({"settings": settings, "finished": finished}, indent=1)
        write_atomically(self.path / _SETTINGS, text.encode())

    def _clear(self) -> None:
        """Deletes the files of a training; a dataset stays, since it is checked by itself."""
        if not self.path.is_dir():
            return
        for pattern in (
            _SETTINGS, _STATE, _METRICS, "curves.png", "round_*.safetensors", "events.out.*"
        ):  # fmt: skip
            for path in self.path.glob(pattern):
                path.unlink()


@contextlib.contextmanager
def only_trainer(folder: Path) -> Iterator[None]:
    """Keeps two trainings from writing one folder.

    Raises:
        UsageError: Another process is at it, or the folder cannot be written.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{folder}: another process is at work there") from None
        yield
