"""Threads that wait for something to happen in a session."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from gpc_studio.app.session.snapshot import Snapshot


class SessionError(RuntimeError):
    """A session could not do what was waited for; the text says why and how to go on."""


@dataclass(eq=False)
class Waiter:
    """Somebody who waits.

    Attributes:
        done: Whether the wait is over.
        future: Where the snapshot goes then.
        running: Whether the wait is for simulated time to pass.
    """

    done: Callable[[], bool]
    future: Future[Snapshot]
    running: bool


class Waiters:
    """All who wait. Used by one thread; the futures may be waited for in any."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def add(self, waiter: Waiter) -> None:
        """Adds one."""
        self._waiters.append(waiter)

    def settle(self, publish: Callable[[], Snapshot]) -> None:
        """Ends the waits that are over, with a snapshot made for them."""
        done = [waiter for waiter in self._waiters if waiter.done()]
        if not done:
            return
        snapshot = publish()
        for waiter in done:
            self._waiters.remove(waiter)
            waiter.future.set_result(snapshot)

    def fail(self, why: str, *, running: bool = True, others: bool = True) -> None:
        """Ends waits with a `SessionError`.

        Args:
            why: Its text.
            running: Whether to end those for simulated time to pass.
            others: Whether to end all the others.
        """
        for waiter in [w for w in self._waiters if (running if w.running else others)]:
            self._waiters.remove(waiter)
            waiter.future.set_exception(SessionError(why))
