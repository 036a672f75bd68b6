"""Keeping the plans of successful episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.models.training.dataset import (
    SHARD_EPISODES,
    Dataset,
    EpisodeRecord,
    Sequences,
)
from gpc_studio.models.training.recording import Recorded, recorder

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.controllers.stages import Memory
    from gpc_studio.scenes.state import Array, State
    from gpc_studio.scenes.task import Task


class EpisodeKeeper:
    """Gathers the planning steps of episodes that run in lock-step, by episode.

    Brudermueller et al., "GPC-CEM" (arXiv 2510.14643), sec. IV-A: only episodes that reach the
    goal are kept.
    """

    def __init__(self, task: Task, options: PlanningOptions) -> None:
        self._record = recorder(task, options)
        self._rows: dict[int, list[Recorded]] = {}

    def planned(
        self, episodes: Sequence[int | None], state: State, before: Memory, knots: Array
    ) -> None:
        """Takes one planning step.

        Args:
            episodes: Index of the episode at every place (E,), None where there is none.
            state: States planned from, NumPy (E, ...).
            before: The planner's memory before the step.
            knots: Knots that are executed (E, K, nu).
        """
        recorded = Recorded(*(np.asarray(part) for part in self._record(state, before, knots)))
        for place, episode in enumerate(episodes):
            if episode is not None:
                row = Recorded(*(part[place] for part in recorded))
                self._rows.setdefault(episode, []).append(row)

    def ended(
        self, index: int, seed: int, success: bool, steps: int
    ) -> tuple[EpisodeRecord, Sequences | None]:
        """Takes the end of an episode; its record, and its sequences if it reached the goal."""
        rows = self._rows.pop(index, [])
        record = EpisodeRecord(index, seed, success, steps, len(rows))
        if not success or not rows:
            return record, None
        joined = Recorded(*(np.stack(parts) for parts in zip(*rows, strict=True)))
        episode = np.full(len(rows), index, np.int64)
        return record, Sequences(**joined._asdict(), episode=episode)


class ShardWriter:
    """Writes finished episodes to a dataset, a shard as soon as it has all that it waits for."""

    def __init__(self, dataset: Dataset, missing: Sequence[int]) -> None:
        """Writes nothing yet.

        Args:
            dataset: The dataset.
            missing: Indices of the episodes that will finish.
        """
        self._dataset = dataset
        self._waiting: dict[int, set[int]] = {}
        for index in missing:
            self._waiting.setdefault(index // SHARD_EPISODES, set()).add(index)
        self._finished: dict[int, dict[int, tuple[EpisodeRecord, Sequences | None]]] = {}

    def add(self, record: EpisodeRecord, sequences: Sequences | None) -> None:
        """Takes a finished episode."""
        shard = record.index // SHARD_EPISODES
        self._finished.setdefault(shard, {})[record.index] = (record, sequences)
        self._waiting[shard].discard(record.index)
        if not self._waiting[shard]:
            self._write(shard)

    def flush(self) -> None:
        """Writes what there is, for an interrupted collection; the rest is run next time."""
        for shard in list(self._finished):
            self._write(shard)

    def _write(self, shard: int) -> None:
        self._dataset.add(self._finished.pop(shard))
