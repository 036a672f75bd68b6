from __future__ import annotations

import numpy as np
import pytest

from gpc_studio.app.session.history import History, record_of
from gpc_studio.app.session.pilot import Pilot
from gpc_studio.app.session.plant import PlantState
from gpc_studio.app.session.rewind import Instant, RewindBuffer
from gpc_studio.controllers.plan import Plan, PlanTiming, Source, elites

TIMING = PlanTiming(0.1, 0.2, 0.3, 0.4)


def plan(cost):
    cost = np.asarray(cost, float)
    n = len(cost)
    fields = dict.fromkeys(Plan._fields)
    fields |= dict(
        cost=cost,
        cost_terms=np.arange(2 * n).reshape(n, 2),
        weight=np.full(n, 1 / n),
        source=np.arange(n),
        best=np.argmin(cost),
    )
    return Plan(**fields)


def record(time):
    return record_of(plan([3.0, 1.0, 2.0]), TIMING, time, 20.0)


def test_figures_of_a_plan():
    made = record_of(plan([*range(10, 30), np.inf]), TIMING, 1.5, 20.0)
    assert (made.best, made.time, made.achieved_rate) == (10, 1.5, 20.0)
    assert made.elite == 10.5  # the mean of the cheapest tenth of 21: two
    assert made.mean == np.mean(range(10, 30))
    assert made.ess == pytest.approx(21)
    assert list(made.terms) == [0, 1]
    assert made.best_source == 0


def test_figures_by_source():
    made = plan([5.0, 4.0, np.inf, 1.0, 2.0, 3.0])._replace(
        source=np.array([0, 1, 1, 2, 2, 2]), weight=np.array([0, 0.25, 0, 0.25, 0.25, 0.25])
    )
    found = record_of(made, TIMING, 0.0, 0.0).by_source
    assert list(found.samples) == [1, 2, 3]
    assert list(found.elites) == [0, 1, 3]
    assert list(found.best) == [5.0, 4.0, 1.0]
    np.testing.assert_allclose(found.ess, [0.0, 1.0, 3.0])
    assert list(found.wins) == [0, 0, 1]
    nothing = record_of(made._replace(source=np.full(6, 1)), TIMING, 0.0, 0.0).by_source
    assert nothing.best[Source.FLOW] == np.inf


def test_wins_add_up_over_the_episode():
    history = History(capacity=4)
    for source in (0, 1, 2, 2, 2, 2):
        made = plan([1.0, 2.0])._replace(source=np.array([source, 0]))
        history.append(record_of(made, TIMING, float(len(history)), 20.0))
    assert list(history.since()[1][-1].by_source.wins) == [1, 1, 4]  # also those that are gone
    history.clear()
    history.append(record(0.0))
    assert history.since()[1][-1].by_source.wins.sum() == 1


def test_elites_are_the_samples_that_matter():
    assert list(elites(np.array([0.5, 0.0, 0.5]))) == [True, False, True]
    assert list(elites(np.array([0.9, 0.06, 0.04]))) == [True, False, False]  # MPPI
    assert elites(np.full(7, 1 / 7, np.float32)).all()
    assert list(elites(np.array([0.0, 1.0]))) == [False, True]


def test_all_diverged():
    made = record_of(plan([np.inf] * 3), TIMING, 0.0, 0.0)
    assert made.best == made.mean == made.elite == np.inf


def test_readers_get_each_record_once():
    history = History(capacity=5)
    for i in range(3):
        history.append(record(i))
    number, records = history.since()
    assert [r.time for r in records] == [0, 1, 2]
    assert history.since(number) == (3, [])
    for i in range(3, 20):
        history.append(record(i))
    number, records = history.since(number)
    assert [r.time for r in records] == [15, 16, 17, 18, 19]
    history.append(record(20))
    assert [r.time for r in history.since(number)[1]] == [20]
    history.clear()
    assert history.since(number)[1] == []


def test_truncate_drops_the_future():
    history = History()
    for i in range(10):
        history.append(record(i))
    history.truncate(6)
    assert [r.time for r in history.since()[1]] == [0, 1, 2, 3, 4, 5]
    history.append(record(6))
    assert history.since()[0] == 7


def test_arrays():
    history = History()
    assert history.arrays()["timing"].shape == (0, 4)
    for i in range(3):
        history.append(record(i))
    arrays = history.arrays()
    assert list(arrays["time"]) == [0, 1, 2]
    assert arrays["terms"].shape == (3, 2)
    assert arrays["timing"].shape == (3, 4)


def instant(step, dt=0.1):
    return Instant(PlantState(step, step * dt, np.zeros(3), None), None, step, None)


def test_rewind_holds_the_last_ten_seconds():
    buffer = RewindBuffer(10.0)
    for step in range(1000):
        buffer.add(instant(step))
    assert 100 <= len(buffer) <= 102
    assert buffer.back_to(95.04).memory == 950
    assert buffer.newest.memory == 950  # what came later is gone
    assert buffer.back_to(0.0).memory == 899
    assert len(buffer) == 1


def test_rewind_replaces_the_same_step():
    buffer = RewindBuffer()
    buffer.add(instant(1))
    buffer.add(instant(1))
    assert len(buffer) == 1
    assert RewindBuffer().back_to(1.0) is None


def test_pilots_are_told_apart_by_identity():
    one, other = (Pilot(None, "a", None, None) for _ in range(2))
    assert one != other
