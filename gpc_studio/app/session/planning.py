"""The planner thread: makes the plans that it is asked for, one at a time."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from gpc_studio.app.environment import give_back_memory
from gpc_studio.app.session.pilot import Job, Outcome, Pilot
from gpc_studio.controllers.plan import Plan
from gpc_studio.scenes.state import State

_log = logging.getLogger("gpc_studio.session")


class PlannerThread:
    """Takes jobs, hands outcomes over. Whatever a planner raises becomes an outcome."""

    def __init__(self, deliver: Callable[[Outcome], None]) -> None:
        """Makes the thread.

        Args:
            deliver: Called in the planner thread with every outcome; must not block.
        """
        self._deliver = deliver
        self._inbox: queue.SimpleQueue[Job | Pilot | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="gpc-studio planner", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def ask(self, job: Job) -> None:
        """Asks for a plan; the caller sees to it that only one is asked for at a time."""
        self._inbox.put(job)

    def retire(self, pilot: Pilot) -> None:
        """Closes a pilot's planner after the jobs asked for before."""
        self._inbox.put(pilot)

    def stop(self) -> None:
        """Ends the thread after the plan under way, and waits for it."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            if isinstance(item, Pilot):
                try:
                    item.planner.close()
                    del item
                    give_back_memory()
                except Exception:
                    _log.warning("a planner could not be closed", exc_info=True)
                continue
            try:
                outcome = make_plan(item)
            except Exception as error:
                outcome = Outcome(item, error=error)
            self._deliver(outcome)
            # What is done must not be kept alive while waiting for the next job.
            del item, outcome


def make_plan(job: Job) -> Outcome:
    """Does a job.

    Raises:
        FloatingPointError: The plan has controls that are not finite.
        Exception: Whatever the planner raises.
    """
    planner = job.pilot.planner
    state = State(*(np.asarray(value)[None] for value in job.state))
    before = job.memory
    if before is None:
        before = planner.start(state, np.array([job.seed]))
        if job.previous is not None:
            before = carried_over(before, job)
    after, plans, timing = planner.step(before, state, job.options, job.weights)
    plan = Plan(*(None if value is None else value[0] for value in plans))
    if not np.isfinite(plan.controls).all():
        raise FloatingPointError("the plan has controls that are not finite")
    return Outcome(job, before, after, plan, timing)


def carried_over(memory: Any, job: Job) -> Any:
    """Memory whose plan goes on where the plan in force is, whatever its knots and horizon were.

    The controls in force are read at the new knot times; beyond their end the last is held, as
    the plant does. The deviation is that of a start. Memories of a shape that is not that of
    `controllers.stages.Memory` stay as they are.
    """
    from gpc_studio.controllers.splines import knot_times
    from gpc_studio.controllers.stages import Memory

    assert job.previous is not None
    if not isinstance(memory, Memory):
        return memory
    then, plan = job.previous
    dt = job.pilot.task.dt
    times = (
        float(job.state.time)
        - float(then.time)
        + knot_times(job.options.horizon, job.options.knots)
    )
    rows = np.clip(np.rint(times / dt).astype(int), 0, len(plan.controls) - 1)
    knots = np.asarray(plan.controls, np.float32)[rows][None]  # (1, K, nu)
    return memory._replace(distribution=memory.distribution._replace(mean=knots), executed=knots)
