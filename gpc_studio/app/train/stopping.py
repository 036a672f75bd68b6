"""How a training is asked to stop: it finishes what it is at, saves, and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType


class Stopped(Exception):  # noqa: N818
    """The training was asked to stop."""


class Stopping:
    """The word to stop, looked at between two pieces of work."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ask(self) -> None:
        """Asks to stop; may be called from any thread."""
        self._event.set()

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises `Stopped` when it was asked for."""
        if self.asked:
            raise Stopped


@contextlib.contextmanager
def stopping_on_signals(*, with_parent: bool) -> Iterator[Stopping]:
    """Ctrl+C and termination ask to stop; a second Ctrl+C ends at once.

    Args:
        with_parent: Also stop when standard input ends, as a pipe does whose other end was held
            by a process that is gone.
    """
    stopping = Stopping()

    def asked(number: int, frame: FrameType | None) -> None:
        stopping.ask()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    if with_parent:
        threading.Thread(target=_ask_at_end_of_input, args=(stopping,), daemon=True).start()
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask_at_end_of_input(stopping: Stopping) -> None:
    with contextlib.suppress(OSError, ValueError):
        # Not through `sys.stdin`, whose lock would hold up the end of the program.
        while os.read(sys.stdin.fileno(), 4096):
            pass
    stopping.ask()
