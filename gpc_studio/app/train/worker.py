"""Training in a process of its own, watched and stopped from this one."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_MESSAGES = 50
_CURVE = 5000


class TrainWorker:
    """One run of `gpc-studio train` or `collect`.

    The process ends when this object is stopped, and when the process that made it ends in
    whatever way: it reads a pipe from here, and stops and saves when the pipe is closed.

    Attributes:
        arguments: The command, without the program's name.
    """

    def __init__(self, arguments: Sequence[str], *, cwd: Path | None = None) -> None:
        """Starts nothing yet.

        Args:
            arguments: As typed after `gpc-studio`: `["train", "pendulum", "--method", "gpc"]`.
            cwd: Folder to run in; by default this process's.
        """
        self.arguments = tuple(arguments)
        self._cwd = cwd
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._latest: dict[str, Any] = {"state": "starting", "message": "starting", "progress": 0.0}
        self._curve: deque[dict[str, Any]] = deque(maxlen=_CURVE)
        self._errors: deque[str] = deque(maxlen=_MESSAGES)
        self._readers: list[threading.Thread] = []
        self._asked_to_stop = False

    def start(self) -> None:
        """Starts the process.

        Raises:
            RuntimeError: It was started before.
        """
        if self._process is not None:
            raise RuntimeError("this worker was started before: make another")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gpc_studio", *self.arguments, "--json-progress"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._cwd,
            start_new_session=True,  # Ctrl+C in the terminal is for the studio, which stops it
        )
        for read in (self._read_progress, self._read_errors):
            thread = threading.Thread(target=read, daemon=True)
            thread.start()
            self._readers.append(thread)

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def poll(self) -> Mapping[str, Any]:
        """The newest progress.

        Returns:
            `state` ("starting", "running", "done", "stopped" or "failed"), `stage`, `progress`
            (0 to 1), `eta` (s, or None), `message`, and once it is done `checkpoint`, its name.
        """
        ended = self._process is not None and self._process.poll() is not None
        if ended:
            for thread in self._readers:
                thread.join(timeout=1.0)
        with self._lock:
            latest = dict(self._latest)
            if ended and latest["state"] in ("starting", "running"):
                latest |= self._last_word()
            return latest

    def curve(self) -> list[Mapping[str, Any]]:
        """All scalars so far: dicts of `step` and the scalars by name, oldest first."""
        with self._lock:
            return list(self._curve)

    def stop(self, timeout: float = 20.0) -> None:
        """Asks the process to save and end; insists when it does not.

        Args:
            timeout: Time to save, s; half of it after the first word, half after the second.
        """
        process = self._process
        if process is None:
            return
        self._asked_to_stop |= process.poll() is None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout / 2 if number != signal.SIGKILL else None)
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def _last_word(self) -> dict[str, Any]:
        """What is to be said of a process that ended without a word."""
        assert self._process is not None
        if self._asked_to_stop:
            return {"state": "stopped", "message": "stopped; what was saved before is kept"}
        # Not the frame that a parser of flags draws around its complaint.
        said = (line for line in reversed(self._errors) if any(map(str.isalnum, line)))
        code = self._process.returncode
        told = next(said, f"the training ended with exit code {code}")
        return {"state": "failed", "message": told}

    def wait(self, timeout: float) -> bool:
        """Waits for the end of the process; whether it came."""
        end = time.monotonic() + timeout
        while self.running and time.monotonic() < end:
            time.sleep(0.02)
        return not self.running

    def _read_progress(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if not isinstance(entry, dict) or "state" not in entry:
                    continue
                with self._lock:
                    scalars = entry.pop("scalars", None)
                    self._latest = entry
                    if scalars:
                        self._curve.append({"step": entry.get("step"), **scalars})

    def _read_errors(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        for line in self._process.stderr:
            with self._lock:
                self._errors.append(line.rstrip())
