"""The recent planning steps as arrays over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gpc_studio.app.session.snapshot import BySource, PlanRecord
from gpc_studio.controllers.plan import Source


class Window(NamedTuple):
    """Figures of R planning steps, ascending in time.

    Attributes:
        time: Simulation time planned from, s (R,).
        best: Cost of the cheapest sample (R,).
        elite: Mean cost of the elites (R,).
        mean: Mean cost of the finite samples (R,).
        terms: Weighted terms of the cheapest sample (R, n_terms).
        best_source: `Source` of the cheapest sample (R,).
        ess: Effective sample size (R,).
        phases: Wall time of propose, rollout, cost, update, s (R, 4).
        achieved_rate: Planning rate, Hz (R,).
        by_source: Figures for each source, each (R, n_sources).
    """

    time: np.ndarray
    best: np.ndarray
    elite: np.ndarray
    mean: np.ndarray
    terms: np.ndarray
    best_source: np.ndarray
    ess: np.ndarray
    phases: np.ndarray
    achieved_rate: np.ndarray
    by_source: BySource


def window(records: Sequence[PlanRecord], terms: int) -> Window:
    """Arrays of `records`, oldest first.

    After a rewind the clock has gone back: of two records only the later one counts for the time
    that both cover. Records of a task with another number of terms are left out.
    """
    kept = _ascending([r for r in records if len(r.terms) == terms])
    by_source = [r.by_source for r in kept]
    return Window(
        time=np.array([r.time for r in kept]),
        best=np.array([r.best for r in kept]),
        elite=np.array([r.elite for r in kept]),
        mean=np.array([r.mean for r in kept]),
        terms=np.array([r.terms for r in kept], dtype=float).reshape(-1, terms),
        best_source=np.array([r.best_source for r in kept], dtype=int),
        ess=np.array([r.ess for r in kept]),
        phases=np.array([tuple(r.timing) for r in kept], dtype=float).reshape(-1, 4),
        achieved_rate=np.array([r.achieved_rate for r in kept]),
        by_source=BySource(*(
            np.array([figures[i] for figures in by_source], dtype=float).reshape(-1, len(Source))
            for i in range(len(BySource._fields))
        )),
    )  # fmt: skip


def _ascending(records: Sequence[PlanRecord]) -> list[PlanRecord]:
    kept: list[PlanRecord] = []
    for record in reversed(records):
        if not kept or record.time < kept[-1].time:
            kept.append(record)
    return kept[::-1]
