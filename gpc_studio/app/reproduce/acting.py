"""How fast a policy acts: whole planning steps for one episode, on one core."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.scenes.task import Task

_WARM_UP = 50


def acting_times(
    task: Task,
    options: PlanningOptions,
    plans: int,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Times of planning steps of `gpc` along an episode.

    Args:
        task: The task.
        options: Options of `gpc`.
        plans: Planning steps measured.
        tick: Is called after each.

    Returns:
        `plans`, `median_ms`, `p95_ms`, `hz` (one over the median) and `cores` that it could run on.

    Raises:
        PolicyError: The policy cannot be had.
    """
    from gpc_studio.app.environment import run_programs_inline
    from gpc_studio.app.planners import make_planner
    from gpc_studio.scenes.plant import Plant

    run_programs_inline()
    weights = task.default_weights()
    period = max(1, round(1.0 / (options.rate * task.dt)))
    with _one_core() as cores, _no_collection():
        plant = Plant(task.model, 1, 1)
        plant.place(0, task.reset(np.random.default_rng(0)))
        planner = make_planner(task, "gpc", options, threads=1)
        try:
            state = plant.observe()
            planner.compile(state)
            memory, times = planner.start(state, [0]), []
            for number in range(_WARM_UP + plans):
                began = time.perf_counter()
                memory, plan, _ = planner.step(memory, state, options, weights)
                if number >= _WARM_UP:
                    times.append(1e3 * (time.perf_counter() - began))
                    tick()
                steps = np.minimum(np.arange(period), plan.controls.shape[1] - 1)
                plant.advance(np.ascontiguousarray(plan.controls[:, steps], np.float64))
                state = plant.observe()
        finally:
            planner.close()
    middle = float(np.median(times))
    return {
        "plans": plans,
        "median_ms": round(middle, 4),
        "p95_ms": round(float(np.percentile(times, 95)), 4),
        "hz": round(1e3 / middle, 1),
        "cores": cores,
    }


@contextlib.contextmanager
def _one_core() -> Iterator[int | None]:
    """Keeps the calling thread on one core; yields their number, None where nobody can tell."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield 1
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keeps Python's garbage collector quiet, as `timeit` does."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
