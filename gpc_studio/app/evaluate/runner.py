"""Runs an evaluation, in this process or in several."""

from __future__ import annotations

import math
import multiprocessing
import os
import queue
import signal
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gpc_studio.app import environment
from gpc_studio.app.evaluate.episodes import EpisodeResult, EpisodeRun, LockStep
from gpc_studio.app.evaluate.starts import EpisodeStart

_POLL_SECONDS = 0.5
_UNDERWAY_SECONDS = 0.2


class Finished(NamedTuple):
    """An episode that ended, and the engine that planned it."""

    controller: str
    engine: str
    result: EpisodeResult


class Underway(NamedTuple):
    """How many episodes' worth a worker has simulated of those that have not ended."""

    controller: str
    worker: int
    episodes: float


class WorkerError(RuntimeError):
    """A process of an evaluation failed; the message holds its traceback."""


def run(runs: Sequence[EpisodeRun], jobs: int) -> Iterator[Finished | Underway]:
    """Runs all episodes of `runs`, one run after the other, and yields what happens.

    Results are the same, bit for bit, for any number of jobs.

    Args:
        runs: One for every controller; `threads` is set here.
        jobs: Number of processes; 1 stays in this one.

    Raises:
        WorkerError: A process failed.
    """
    if jobs == 1:
        for one in runs:
            if one.episodes:
                yield from _run_one(0, one)
        return
    yield from _run_in_processes(runs, jobs)


def split(run: EpisodeRun, jobs: int) -> list[EpisodeRun]:
    """Deals the episodes of a run out to processes, which share the cores.

    Each place of the batch deals out its own episodes, so that all processes keep all places
    busy.
    """
    places: dict[int, list[EpisodeStart]] = defaultdict(list)
    for episode in run.episodes:
        places[episode.index % run.batch].append(episode)
    hands: list[list[EpisodeStart]] = [[] for _ in range(jobs)]
    turn = 0
    for place in sorted(places):
        for episode in places[place]:
            hands[turn % jobs].append(episode)
            turn += 1
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return [replace(run, episodes=hand, threads=threads) for hand in hands]


def _run_one(worker: int, one: EpisodeRun) -> Iterator[Finished | Underway]:
    lock_step = LockStep(one)
    told = -math.inf
    for period in lock_step.periods():
        for result in period.results:
            yield Finished(one.controller, lock_step.engine, result)
        if period.results or time.monotonic() - told > _UNDERWAY_SECONDS:
            told = time.monotonic()
            yield Underway(one.controller, worker, period.underway)


def _run_in_processes(runs: Sequence[EpisodeRun], jobs: int) -> Iterator[Finished | Underway]:
    # A forked copy of a process that has threads, as JAX and MuJoCo make them, may hang.
    context = multiprocessing.get_context("spawn")
    events: Any = context.Queue()
    hands = [split(one, jobs) for one in runs]
    workers = []
    for index in range(jobs):
        own = [hand[index] for hand in hands if hand[index].episodes]
        if own:
            workers.append(context.Process(target=_work, args=(index, own, events), daemon=True))
    try:
        for worker in workers:
            worker.start()
        remaining = len(workers)
        while remaining:
            event = _next_event(events, workers)
            if event is None:
                remaining -= 1
            elif isinstance(event, str):
                raise WorkerError(event)
            else:
                yield event
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
        for worker in workers:
            if worker.pid is not None:
                worker.join()


def _next_event(events: Any, workers: Sequence[Any]) -> Finished | Underway | str | None:
    while True:
        try:
            return events.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            for worker in workers:
                if worker.exitcode:
                    raise WorkerError(
                        f"a process of the evaluation ended with exit code {worker.exitcode}; "
                        "what was finished is kept, and the same command goes on"
                    ) from None


def _work(worker: int, runs: Sequence[EpisodeRun], events: Any) -> None:
    """A process: puts what happens, and None at the end or the traceback of a failure."""
    environment.ignore_cache_races()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches all; the parent ends this one
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        for one in runs:
            for event in _run_one(worker, one):
                if not parent.is_alive():
                    return
                events.put(event)
        events.put(None)
    except Exception:
        events.put(traceback.format_exc())
