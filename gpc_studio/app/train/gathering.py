"""Runs the episodes of a dataset, in lock-step and in as many threads as cores."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gpc_studio.app.evaluate.episodes import EpisodeRun, LockStep
from gpc_studio.app.evaluate.runner import split
from gpc_studio.app.evaluate.starts import EpisodeStart, episode_seed
from gpc_studio.models.training.collect import EpisodeKeeper, ShardWriter

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.models.training.dataset import Dataset, EpisodeRecord, Sequences
    from gpc_studio.scenes.task import Task

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Gathering:
    """What to collect.

    Attributes:
        named: Name or file of the task.
        task: The task.
        controller: Name of the controller.
        options: Its options.
        weights: Weight of every cost term.
        episodes: Number of episodes.
        seed: Seed from which those of the episodes are derived.
        batch: Episodes planned for at once in a thread.
    """

    named: str
    task: Task
    controller: str
    options: PlanningOptions
    weights: Mapping[str, float]
    episodes: int
    seed: int
    batch: int


Tick = Callable[[float, int, int], None]
"""Is told the part done (0 to 1), episodes ended and successes; may raise to stop."""


def gather(wanted: Gathering, dataset: Dataset, tick: Tick) -> None:
    """Runs the episodes that the dataset lacks, and adds them.

    Whatever `tick` raises ends it, with all finished episodes written. Results do not depend on
    the number of threads, nor on interruptions.

    Args:
        wanted: What to collect.
        dataset: Where to.
        tick: Is told how far it is, several times a second.
    """
    have = {record.index: record for record in dataset.episodes()}
    missing = [index for index in range(wanted.episodes) if index not in have]
    ended = len(have)
    won = sum(record.success for record in have.values())
    if not missing:
        tick(1.0, ended, won)
        return
    threads = _threads(wanted, missing)
    writer = ShardWriter(dataset, missing)
    try:
        for thread in threads:
            thread.start()
        remaining = len(threads)
        while remaining:
            for thread in threads:
                try:
                    event = thread.events.get(timeout=_POLL_SECONDS / len(threads))
                except queue.Empty:
                    continue
                if event is None:
                    remaining -= 1
                elif isinstance(event, BaseException):
                    raise event
                else:
                    record, sequences = event
                    writer.add(record, sequences)
                    ended, won = ended + 1, won + record.success
            underway = sum(thread.underway for thread in threads)
            tick(min(1.0, (ended + underway) / wanted.episodes), ended, won)
    finally:
        for thread in threads:
            thread.leave.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        _drain(threads, writer)
        writer.flush()
    tick(1.0, ended, won)


class _Thread(threading.Thread):
    """Runs some of the episodes; puts what each gave, and None at the end or its failure.

    Attributes:
        events: See above.
        underway: Simulated part of the episodes that have not ended, in episodes.
        leave: Set to end after the next period.
    """

    def __init__(self, wanted: Gathering, run: EpisodeRun) -> None:
        super().__init__(name="collect", daemon=True)
        self.events: queue.Queue[tuple[EpisodeRecord, Sequences | None] | BaseException | None] = (
            queue.Queue()
        )
        self.underway = 0.0
        self.leave = threading.Event()
        self._wanted, self._run_of = wanted, run

    def run(self) -> None:
        try:
            self._episodes()
            self.events.put(None)
        except BaseException as error:
            self.events.put(error)

    def _episodes(self) -> None:
        keeper = EpisodeKeeper(self._wanted.task, self._run_of.options)
        for period in LockStep(self._run_of).periods():
            planned = period.planned
            keeper.planned(planned.episodes, planned.state, planned.before, planned.plan.executed)
            for result in period.results:
                self.events.put(
                    keeper.ended(result.index, result.seed, result.success, result.steps)
                )
            self.underway = period.underway
            if self.leave.is_set():
                return


def _threads(wanted: Gathering, missing: Sequence[int]) -> list[_Thread]:
    starts = [EpisodeStart(i, episode_seed(wanted.seed, i)) for i in missing]
    run = EpisodeRun(
        wanted.named, wanted.controller, wanted.options, wanted.weights, starts, wanted.batch
    )
    hands = split(run, min(os.cpu_count() or 1, len(missing)))
    return [_Thread(wanted, hand) for hand in hands if hand.episodes]


def _drain(threads: Sequence[_Thread], writer: ShardWriter) -> None:
    """Takes what was finished while everything ended."""
    for thread in threads:
        while True:
            try:
                event: Any = thread.events.get_nowait()
            except queue.Empty:
                break
            if isinstance(event, tuple):
                writer.add(*event)
