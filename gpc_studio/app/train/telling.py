"""What a training tells while it runs: bars for people, JSON lines for programs, TensorBoard."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from gpc_studio.app.train.run_folder import RunFolder

_JSON_SECONDS = 0.2
"""Time between two JSON lines without news."""


class Teller:
    """Takes progress and scalars, and passes them on to whoever listens.

    Progress is told by stage ("collect", "fit", ...), each from 0 to 1.
    """

    def __init__(self, *, json_lines: bool) -> None:
        """Begins to tell.

        Args:
            json_lines: Whether a program reads along on standard output; no bars then.
        """
        self._json = json_lines
        self._bars = None if json_lines else _new_bars()
        self._tasks: dict[str, TaskID] = {}
        self._folder: RunFolder | None = None
        self._board: Any = None
        self._latest: dict[str, Any] = {"state": "running", "message": "", "progress": 0.0}
        self._told = -math.inf
        self._began: dict[str, tuple[float, float]] = {}

    def __enter__(self) -> Teller:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        if self._board is not None:
            self._board.close()

    def keep_in(self, folder: RunFolder) -> None:
        """Scalars go to this folder from now on, as JSON lines and for TensorBoard."""
        from tensorboardX import SummaryWriter

        self._folder = folder
        self._board = SummaryWriter(str(folder.path), flush_secs=10)

    def progress(self, stage: str, fraction: float, message: str) -> None:
        """How far a stage is.

        Args:
            stage: Name of the stage, also of its bar.
            fraction: Part done, 0 to 1.
            message: One line: where it is.
        """
        now = time.monotonic()
        began, first = self._began.setdefault(stage, (now, fraction))
        gone = fraction - first
        eta = (now - began) / gone * (1.0 - fraction) if gone > 0.01 else None
        if self._bars is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=1.0, note="")
            self._bars.update(self._tasks[stage], completed=fraction, note=message)
        fresh = stage != self._latest.get("stage") or fraction >= 1.0
        self._latest |= {
            "stage": stage,
            "progress": round(fraction, 4),
            "eta": None if eta is None else round(eta, 1),
            "message": message,
        }
        if fresh or now - self._told > _JSON_SECONDS:
            self._tell()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Measured values at a step."""
        finite = {k: (float(v) if math.isfinite(v) else None) for k, v in values.items()}
        if self._folder is not None:
            self._folder.add_metrics({"step": step, "time": round(time.time(), 2), **finite})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        self._tell({"step": step, "scalars": finite})

    def end(self, state: str, message: str, **facts: Any) -> None:
        """The last word: "done", "stopped" or "failed"."""
        self._latest |= {"state": state, "message": message, "eta": None, **facts}
        if state == "done":
            self._latest["progress"] = 1.0
        self._tell()
        if self._bars is not None:
            self._bars.stop()
        if not self._json:
            stream = sys.stdout if state == "done" else sys.stderr
            print(message if state != "failed" else f"gpc-studio: {message}", file=stream)

    def _tell(self, more: Mapping[str, Any] | None = None) -> None:
        self._told = time.monotonic()
        if self._json:
            # Whoever listened may be gone: that must not keep the training from saving.
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps({"time": round(time.time(), 2), **self._latest, **(more or {})}))
                sys.stdout.flush()


def _new_bars() -> Progress:
    return Progress(
        TextColumn("{task.description:8}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
