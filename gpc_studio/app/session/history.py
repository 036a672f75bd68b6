"""The figures of the newest planning steps, for charts."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

import numpy as np

from gpc_studio.app.session.snapshot import BySource, PlanRecord
from gpc_studio.controllers.plan import Plan, PlanTiming, Source, elites

CAPACITY = 600


class History:
    """Ring of the newest `PlanRecord`s; thread-safe.

    Records are numbered from 0 over the life of a session and keep their number, so that a reader
    asks only for what is new to it. When task, controller or episode changes, the ring is
    emptied and the numbers go on.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._lock = threading.Lock()
        self._records: deque[PlanRecord] = deque(maxlen=capacity)
        self._next = 0

    def __len__(self) -> int:
        return len(self._records)

    def append(self, record: PlanRecord) -> None:
        """Adds the newest record, its wins to those before; the oldest goes when it is full."""
        with self._lock:
            if self._records:
                figures, before = record.by_source, self._records[-1].by_source.wins
                figures = figures._replace(wins=figures.wins + before)
                record = replace(record, by_source=figures)
            self._records.append(record)
            self._next += 1

    def since(self, number: int = 0) -> tuple[int, list[PlanRecord]]:
        """Records from `number` on, as far as they are still held.

        Returns:
            The number to ask with next time, and the records, oldest first.
        """
        with self._lock:
            first = self._next - len(self._records)
            skip = max(0, number - first)
            return self._next, list(self._records)[skip:]

    def arrays(self) -> dict[str, np.ndarray]:
        """All records as columns (M,) by the names of `PlanRecord`.

        `terms` is (M, n_terms); `timing` is (M, 4), s, in the order of `PlanTiming`; the figures
        of `by_source` are left out.
        """
        records = self.since()[1]
        names = ("time", "best", "elite", "mean", "best_source", "ess", "achieved_rate")
        columns = {name: np.array([getattr(r, name) for r in records]) for name in names}
        columns["terms"] = np.array([r.terms for r in records])
        columns["timing"] = np.array([r.timing for r in records], float).reshape(-1, 4)
        return columns

    def clear(self) -> None:
        """Drops all records."""
        with self._lock:
            self._records.clear()

    def truncate(self, time: float) -> None:
        """Drops the records of plans made at `time` (s of simulation) or later."""
        with self._lock:
            while self._records and self._records[-1].time >= time:
                self._records.pop()
                # The dropped numbers are given out again, so that `since` stays gapless for a
                # reader that starts over, as readers do when the epoch changes.
                self._next -= 1


def record_of(plan: Plan, timing: PlanTiming, time: float, achieved_rate: float) -> PlanRecord:
    """The figures of a plan.

    Args:
        plan: Plan of one episode.
        timing: Wall time of the planning step.
        time: Simulation time planned from, s.
        achieved_rate: Planning rate at that moment, Hz.
    """
    cost = np.asarray(plan.cost, float)
    finite = cost[np.isfinite(cost)]
    cheapest = max(1, len(cost) // 10)
    best = int(plan.best)
    weight = np.asarray(plan.weight, float)
    return PlanRecord(
        time=time,
        best=float(cost[best]),
        elite=float(np.partition(cost, cheapest - 1)[:cheapest].mean()),
        mean=float(finite.mean()) if finite.size else float("inf"),
        terms=np.array(plan.cost_terms[best], float),
        best_source=int(plan.source[best]),
        ess=float(1.0 / np.sum(weight**2)),
        timing=timing,
        achieved_rate=achieved_rate,
        by_source=by_source(plan),
    )


def by_source(plan: Plan) -> BySource:
    """The figures of a plan for each source; `wins` counts this plan alone."""
    weight, many = np.asarray(plan.weight, float), len(Source)
    source = np.asarray(plan.source, int)
    cost = np.where(np.isfinite(plan.cost), plan.cost, np.inf)
    from_source = source == np.arange(many)[:, None]  # (n_sources, N)
    return BySource(
        samples=from_source.sum(axis=1),
        elites=(from_source & elites(weight)).sum(axis=1),
        best=np.min(np.where(from_source, cost, np.inf), axis=1),
        ess=from_source @ weight / np.sum(weight**2),
        wins=from_source[:, int(plan.best)].astype(int),
    )
