"""Commands on their way into a thread."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

Command = Callable[[], None]

_MOST = 256  # commands between two looks at what else is to be done


class Mailbox:
    """Closures that one thread runs and any thread puts in."""

    def __init__(self) -> None:
        self._mail: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._gate = threading.Lock()  # for `_closed`: nothing comes in after the last look
        self._closed = False

    def put(self, command: Command) -> bool:
        """Has a command run, soon.

        Returns:
            Whether it is run: after `close` it is not.
        """
        with self._gate:
            if not self._closed:
                self._mail.put(command)
            return not self._closed

    def read(self, timeout: float) -> None:
        """Runs what is there; waits up to `timeout`, s, for something to come.

        Raises:
            Exception: A command raised; those after it are still there.
        """
        try:
            command = self._mail.get(timeout=timeout) if timeout > 0 else self._mail.get_nowait()
            for _ in range(_MOST):
                command()
                command = self._mail.get_nowait()
            command()
        except queue.Empty:
            return

    def close(self) -> None:
        """Takes nothing more, and runs what is left: who came last must not wait for ever."""
        with self._gate:
            self._closed = True
        while not self._mail.empty():
            with contextlib.suppress(Exception):
                self.read(0.0)
