"""Follows the newest plan and shows a policy's samples at any flow time, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpc_studio.controllers.plan import Plan

if TYPE_CHECKING:
    from gpc_studio.app.session.lens import FlowPart, Lens
    from gpc_studio.app.session.pilot import Outcome

REST_SECONDS = 0.04
"""Shortest rest between two looks; after a long one it rests as long as that took."""

_NICE = 5
_log = logging.getLogger("gpc_studio.session")


class FlowView(NamedTuple):
    """A policy's samples at a flow time.

    Attributes:
        origin: The plan that they belong to.
        time: Flow time, 0 (noise) to 1 (plans).
        way: The samples on their way, at t = 0, 1/steps, ..., 1, in policy units at the planner's
            knot times (steps + 1, n, K * nu).
        plan: The origin's plan with nothing but these samples, rolled out.
    """

    origin: Outcome
    time: float
    way: np.ndarray
    plan: Plan


class Inspector:
    """Computes `FlowView`s one after the other; what is newer when one is done comes next.

    It has an engine of its own with one thread, the lowest priority the system gives it, and rests
    half of the time, so that neither planner nor plant wait for it. It holds neither thread nor
    engine until it is asked for the first time.
    """

    def __init__(self) -> None:
        self._wanted: tuple[Outcome, float] | None = None
        self._done: tuple[Outcome, float] | None = None
        self._newest: FlowView | None = None
        self._bell = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._lens: Lens | None = None
        self._kind: Hashable = None
        self._way: tuple[Outcome, np.ndarray] | None = None

    @property
    def newest(self) -> FlowView | None:
        """The newest view; None while there is nothing to show."""
        return self._newest

    def look(self, origin: Outcome | None, flow_time: float) -> None:
        """Asks for a view; returns at once.

        Args:
            origin: The plan to look into, or None to look at nothing and rest.
            flow_time: Flow time, 0 to 1.
        """
        with self._bell:
            self._wanted = None if origin is None else (origin, flow_time)
            if origin is None:
                self._newest = self._done = None
                return
            if self._newest is not None and not _same_task(self._newest.origin, origin):
                self._newest = None  # it would be drawn in another world
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(
                    target=self._run, name="gpc-studio inspector", daemon=True
                )
                self._thread.start()
            self._bell.notify()

    def stop(self) -> None:
        """Ends the thread and waits for it; a second call does nothing."""
        with self._bell:
            self._stopping = True
            self._bell.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        _step_back()
        try:
            while (wanted := self._next()) is not None:
                began = time.monotonic()
                try:
                    view = self._view(*wanted)
                except Exception:
                    # A picture less; the plan itself is none of our business.
                    _log.exception("a policy's samples could not be looked into")
                    view = None
                with self._bell:
                    if self._wanted is not None and _same_task(wanted[0], self._wanted[0]):
                        self._newest, self._done = view, wanted
                spent = time.monotonic() - began
                with self._bell:
                    self._bell.wait_for(lambda: self._stopping, max(REST_SECONDS, spent))
        finally:
            self._drop_lens()

    def _next(self) -> tuple[Outcome, float] | None:
        """Waits for a view that is wanted and not there yet; None at the end."""
        with self._bell:
            self._bell.wait_for(lambda: self._stopping or self._is_due())
            return None if self._stopping else self._wanted

    def _is_due(self) -> bool:
        wanted, done = self._wanted, self._done
        if wanted is None:
            return False
        return done is None or wanted[0] is not done[0] or wanted[1] != done[1]

    def _view(self, origin: Outcome, flow_time: float) -> FlowView | None:
        from gpc_studio.app.session.lens import MOST, at_time, flow_part

        part = flow_part(origin)
        if part is None or not part.kept.any():
            return None
        lens = self._lens_for(origin, part)
        if self._way is None or self._way[0] is not origin:
            self._way = (origin, lens.flow(origin, part)[:, :MOST])
        way = self._way[1]
        plan = lens.roll_out(origin, part, at_time(way, flow_time), origin.job.weights)
        return FlowView(origin, flow_time, lens.beside_units(part, way), plan)

    def _lens_for(self, origin: Outcome, part: FlowPart) -> Lens:
        from gpc_studio.app.session.lens import Lens

        kind = Lens.kind(origin, part)
        if self._lens is None or kind != self._kind:
            self._drop_lens()
            self._lens, self._kind = Lens(origin, part), kind
        return self._lens

    def _drop_lens(self) -> None:
        if self._lens is not None:
            self._lens.close()
            self._lens = None


def _same_task(one: Outcome, other: Outcome) -> bool:
    return one.job.pilot.task is other.job.pilot.task


def _step_back() -> None:
    """Gives this thread a low priority where the system has one for each thread (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
