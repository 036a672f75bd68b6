"""`gpc-studio bench`: the time of whole planning steps against that of their bare rollouts.

The times of a start are measured in `start_up`.
"""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from gpc_studio.app.choice import choose_controller, choose_task
from gpc_studio.app.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Group

    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.controllers.planner import Planner
    from gpc_studio.scenes.state import State
    from gpc_studio.scenes.task import Task

SAMPLES = (32, 128, 1024)
REFERENCES = {"push_t": (32, 300), "cart_pole": (32, 100)}
"""Samples and steps of the settings that are always measured, on the native engine."""

_WARM_UP = 3  # steps that are not counted
_ROW_SECONDS = 10.0
_FEWEST = 5  # steps measured even when they take longer than that


@dataclass(frozen=True)
class BenchOptions:
    """Compare the time of a planning step with that of the bare rollout in it.

    Both are measured in turns, in the same run, from the same states with the same controls. The
    bare rollout is the engine alone: `mujoco.batch.Batch.rollout` into preallocated arrays for
    `native`, the compiled rollout function for `analytic`.
    """

    tasks: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Names of tasks; all when none is given, with --start the one that `run` starts with."""
    controller: str = "mppi"
    """Name of the controller."""
    start: bool = False
    """Measure the start of the program instead, from the command to the first plan on the screen,
    with nothing compiled before and with everything, and how long plans stay away while the number
    of samples changes. Draws in a headless Chromium, if there is one."""
    repeats: int = 40
    """Planning steps measured a row, fewer where one row would take more than ten seconds."""
    threads: int = 0
    """Threads of the native engine; 0 takes one a core."""
    out: Path | None = None
    """JSON file for the rows; of --start, `starts` and `swaps`."""


class Case(NamedTuple):
    """One row to measure."""

    task: Task
    controller: str
    options: PlanningOptions


def command(arguments: Sequence[str]) -> int:
    """Measures, prints the table and writes the file; returns the exit code."""
    wanted = tyro.cli(BenchOptions, args=list(arguments), prog="gpc-studio bench")
    if wanted.repeats < 1:
        raise UsageError(f"--repeats: expected a whole number of at least 1, got {wanted.repeats}")
    if wanted.threads < 0:
        raise UsageError(f"--threads: expected a whole number of at least 0, got {wanted.threads}")

    from gpc_studio.app.environment import run_programs_inline
    from gpc_studio.app.evaluate.results import only_writer

    run_programs_inline()
    with only_writer(wanted.out) if wanted.out is not None else contextlib.nullcontext():
        if wanted.start:
            _measure_starts(wanted)
        else:
            _measure_planning(wanted)
    return 0


def _measure_planning(wanted: BenchOptions) -> None:
    from rich.console import Console
    from rich.progress import track

    from gpc_studio.app.evaluate.results import versions, write_json
    from gpc_studio.scenes import task_names

    tasks = [choose_task(name) for name in wanted.tasks or task_names()]
    found = [case for task in tasks for case in cases(task, wanted.controller)]
    rows = []
    for case in track(found, "measuring", console=Console(stderr=True)):
        rows.append(measure(case, wanted.repeats, wanted.threads))
        if wanted.out is not None:
            write_json(wanted.out, {"versions": versions(), "rows": rows})
    Console().print(_table(rows, wanted.controller))


def _measure_starts(wanted: BenchOptions) -> None:
    from rich.console import Console

    from gpc_studio.app import start_up
    from gpc_studio.app.evaluate.results import versions, write_json
    from gpc_studio.app.run import RunOptions

    tasks = wanted.tasks or (RunOptions().task,)
    for name in tasks:
        choose_controller(choose_task(name), wanted.controller)  # a mistake is told at once
    starts = []
    with start_up.chromium() as browser:
        for task in tasks:
            starts += start_up.measure_starts(task, wanted.controller, browser)
    swap = start_up.measure_swap(wanted.controller)
    if wanted.out is not None:
        write_json(wanted.out, {"versions": versions(), "starts": starts, "swaps": [swap]})
    Console().print(*start_up.tables(starts, swap), sep="\n")


def cases(task: Task, controller: str) -> list[Case]:
    """The rows of a task: its default samples and `SAMPLES`, on each of its engines.

    Those of one engine stand together, and the fewest samples first. A controller that acts without
    rollouts has one row.
    """
    from gpc_studio.controllers.options import rolls_out

    default = choose_controller(task, controller)
    if not rolls_out(default):
        return [Case(task, controller, default)]
    engines = ["native"] if task.dynamics() is None else ["native", "analytic"]
    wanted = [
        replace(default, samples=samples, engine=engine)
        for engine in engines
        for samples in {default.samples, *SAMPLES}
    ]
    if task.name in REFERENCES:
        samples, steps = REFERENCES[task.name]
        reference = replace(default, samples=samples, engine="native", horizon=steps * task.dt)
        if reference not in wanted:
            wanted.append(reference)
    wanted.sort(key=lambda options: (engines.index(options.engine), options.samples))
    return [Case(task, controller, options) for options in wanted]


def measure(case: Case, repeats: int, threads: int = 0) -> dict[str, Any]:
    """Medians of planning step and bare rollout, ms, and the ratio of the medians, if there is one.

    Each planning step is followed by the rollout of the very same states and controls, so that
    the two are equally hard and a busy moment of the machine meets both.
    """
    from gpc_studio.app.planners import make_planner
    from gpc_studio.controllers.options import rolls_out, sample_count

    task, options = case.task, case.options
    planner = make_planner(task, case.controller, options, threads=threads)
    try:
        state = _start_state(task)
        planner.compile(state)
        plan_ms, rollout_ms = _interleaved(planner, state, options, repeats)
        plan = statistics.median(plan_ms)
        rollout = statistics.median(rollout_ms) if rolls_out(options) else None
        return {
            "task": task.name,
            "controller": case.controller,
            "engine": planner.engine_name,
            "samples": sample_count(options),
            "steps": planner.steps,
            "plan_ms": plan,
            "rollout_ms": rollout,
            "ratio": None if rollout is None else plan / rollout,
        }
    finally:
        planner.close()


def _interleaved(
    planner: Planner, state: State, options: PlanningOptions, repeats: int
) -> tuple[list[float], list[float]]:
    memory = planner.start(state, [0])
    weights = planner.task.default_weights()
    rolled_out = planner.engine_name != "none"
    rollouts_of_one_step = getattr(options, "iterations", 1) if rolled_out else 0

    def plan() -> None:
        nonlocal memory
        memory, _, _ = planner.step(memory, state, options, weights)

    def roll_out() -> None:
        for _ in range(rollouts_of_one_step):
            planner.engine.run()

    plan_ms, rollout_ms = [], []
    begin = time.perf_counter()
    for repeat in _without_collection(_WARM_UP + repeats):
        times = _milliseconds(plan), _milliseconds(roll_out)
        if repeat >= _WARM_UP:
            plan_ms.append(times[0])
            rollout_ms.append(times[1])
        if len(plan_ms) >= _FEWEST and time.perf_counter() - begin > _ROW_SECONDS:
            break
    return plan_ms, rollout_ms


def times_native(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> float | None:
    """Steps per second of a row's bare rollout over those of the native engine at its size."""
    size = ("task", "samples", "steps")
    for other in rows:
        same = other["engine"] == "native" and all(other[name] == row[name] for name in size)
        if same and row["rollout_ms"] and other["rollout_ms"]:
            return other["rollout_ms"] / row["rollout_ms"]
    return None


def _start_state(task: Task) -> State:
    """A start state of the task as a batch of one."""
    import numpy as np

    from gpc_studio.scenes.plant import Plant

    plant = Plant(task.model, episodes=1, threads=1)
    plant.place(0, task.reset(np.random.default_rng(0)))
    return plant.observe()


def _milliseconds(action: Callable[[], None]) -> float:
    begin = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - begin)


def _without_collection(count: int) -> Iterator[int]:
    """`range(count)`, during which Python's garbage collector stays quiet, as in `timeit`."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield from range(count)
    finally:
        if enabled:
            gc.enable()


def _table(rows: Sequence[dict[str, Any]], controller: str) -> Group:
    from rich.console import Group
    from rich.text import Text

    from gpc_studio.app.evaluate.report import compact_table

    table = compact_table(f"Planning with {controller}")
    for name in ("task", "engine"):
        table.add_column(name, no_wrap=True)
    for name in ("samples", "steps", "plan ms", "rollout ms", "ratio", "x native"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["task"], row["engine"], str(row["samples"]), str(row["steps"]),
            *("-" if row[name] is None else f"{row[name]:.3f}"
              for name in ("plan_ms", "rollout_ms", "ratio")),
            "-" if (faster := times_native(row, rows)) is None else f"{faster:.1f}",
        )  # fmt: skip
    legend = (
        "Medians. ratio: whole planning step / bare rollout of the same controls. "
        "x native: steps per second / those of the native engine on its threads."
    )
    return Group(table, Text(legend, "dim"))
