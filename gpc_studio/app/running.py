"""A session from start to stop, with a page or without."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.environment import has_display
from gpc_studio.app.errors import UsageError
from gpc_studio.app.run import RunSettings, new_session

if TYPE_CHECKING:
    from gpc_studio.app.session import Session
    from gpc_studio.app.session.snapshot import Snapshot

ADDRESS = "GPC Studio at "
"""Start of the line that tells where the page is."""

_STATUS_PERIOD = 1.0  # s between status lines
_POLL_PERIOD = 0.05  # s between looks at the snapshot
_PATIENCE = 1.0  # s that the threads of a session get to end
_FOR_EVER = 1e9  # s
_HALF_A_STEP = 1e-4  # s; the sum of many time steps is not quite the number asked for


def run_with_page(settings: RunSettings) -> int:
    """Serves the page until told to stop; returns the exit code.

    Raises:
        UsageError: Host or port are not available.
    """
    from gpc_studio.app.web.server import ServerError, WebServer

    run = settings.run
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_requests())
        try:
            server = WebServer(run.host, run.port, run.token or None)
        except ServerError as error:
            raise UsageError(str(error)) from None
        stack.callback(server.stop)
        # The planner is compiled in the background while the page is built.
        session = stack.enter_context(_running(settings))

        from gpc_studio.app.web.frontend import WebFrontend

        frontend = stack.enter_context(WebFrontend(session, server=server))
        print(f"{ADDRESS}{frontend.url}  (Ctrl+C stops)", flush=True)
        if run.open and has_display():
            # Some browsers keep the call waiting until they are closed.
            threading.Thread(target=webbrowser.open, args=(frontend.url,), daemon=True).start()
        messages = _Messages()
        while not stop.wait(_POLL_PERIOD):
            snapshot = session.snapshot
            messages.show(snapshot)
            if run.seconds and snapshot.state.time >= run.seconds:
                break
    return 0


def run_headless(settings: RunSettings) -> int:
    """Runs without a page and prints a line of status every second; returns the exit code."""
    run = settings.run
    with stop_requests() as stop, _running(settings) as session:
        if settings.session.mode == "lock-step" and not run.paused:
            threading.Thread(
                target=_run_unpaced, args=(session, run.seconds or _FOR_EVER), daemon=True
            ).start()
        messages = _Messages()
        next_line = time.monotonic() + _STATUS_PERIOD
        while not stop.wait(_POLL_PERIOD):
            snapshot = session.snapshot
            messages.show(snapshot)
            done = bool(run.seconds) and snapshot.state.time >= run.seconds - _HALF_A_STEP
            if done or time.monotonic() >= next_line:
                next_line += _STATUS_PERIOD
                print(status_line(snapshot), flush=True)
            if done:
                break
    return 0


@contextlib.contextmanager
def _running(settings: RunSettings) -> Iterator[Session]:
    """A session, started, and stopped at the end.

    A compilation cannot be broken off. Nobody wants its result any more when the program stops,
    so it is not waited for either: the process ends around it.
    """
    session = new_session(settings).start()
    try:
        yield session
    finally:
        stopping = threading.Thread(target=session.stop, daemon=True)
        stopping.start()
        stopping.join(_PATIENCE)
        if stopping.is_alive() and sys.exc_info()[0] is None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


def _run_unpaced(session: Session, seconds: float) -> None:
    from gpc_studio.app.session import SessionError

    # Why it ended is a message of the session, which is shown; or the program stops.
    with contextlib.suppress(SessionError):
        session.run(seconds)


@contextlib.contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that Ctrl+C and termination set; a second Ctrl+C ends the program at once."""
    stop = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def status_line(snapshot: Snapshot) -> str:
    """Time, cost of the best sample, planning rate and success, in one line."""
    plan = snapshot.plan
    cost = f"{'-':>10}"
    if plan is not None and plan.rolled_out:
        cost = f"{np.min(plan.cost):10.4g}"
    words = [
        f"time {float(snapshot.state.time):7.2f} s",
        f"cost {cost}",
        f"rate {snapshot.timing.achieved_rate:6.1f} of {snapshot.timing.asked_rate:.0f} Hz",
        *(f"{name} {value:.3g}" for name, value in snapshot.progress.items()),
        f"success {'yes' if snapshot.success else 'no'}",
    ]
    if snapshot.preparing:
        words.append(f"preparing {snapshot.preparing}")
    if snapshot.paused:
        words.append("paused")
    return "  ".join(words)


class _Messages:
    """Prints warnings and errors of a session, each once."""

    def __init__(self) -> None:
        self._shown = -1

    def show(self, snapshot: Snapshot) -> None:
        for message in snapshot.messages:
            if message.number > self._shown:
                self._shown = message.number
                if message.level != "info":
                    text = f"{message.level}: {message.title}: {message.text}"
                    print(text, file=sys.stderr, flush=True)
