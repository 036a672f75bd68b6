"""What charts show of a session's history and plan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_session import CartTask, FakeSession, made_up_plan

from gpc_studio.app.session.snapshot import BySource, PlanRecord, Timing
from gpc_studio.app.web.charts.chart import MAX_POINTS, _with_gaps, thinned
from gpc_studio.app.web.charts.costs import CostChart, TermsChart
from gpc_studio.app.web.charts.knots import KnotsChart, plan_lines
from gpc_studio.app.web.charts.sources import (
    AVERAGED,
    ElitesChart,
    SampleSizeChart,
    SourceCostChart,
    SourcesLegend,
    WinnersChart,
)
from gpc_studio.app.web.charts.timing import RateChart, SplitChart
from gpc_studio.app.web.charts.window import window
from gpc_studio.app.web.server import WebServer
from gpc_studio.controllers.plan import PlanTiming, Source


@pytest.fixture(scope="module")
def gui():
    server = WebServer(port=0)
    yield server.viser.gui
    server.stop()


def record(time, best=1.0, terms=(0.75, 0.25), source=1, samples=(1, 16, 15), **figures):
    given = dict(
        samples=samples, elites=(1, 3, 4), best=(3.0, 2.0, best), ess=(1.0, 3.0, 4.0),
        wins=np.eye(3)[source],
    )  # fmt: skip
    by_source = BySource(**{name: np.asarray(v, float) for name, v in (given | figures).items()})
    return PlanRecord(
        time=time, best=best, elite=2 * best, mean=4 * best, terms=np.array(terms),
        best_source=source, ess=8.0, timing=PlanTiming(0.001, 0.002, 0.003, 0.004),
        achieved_rate=20.0, by_source=by_source,
    )  # fmt: skip


def sent(chart):
    return [np.asarray(values) for values in chart.handle.data]


def assigned(chart, monkeypatch):
    """Names of the properties that are sent from now on."""
    names = []
    original = type(chart.handle)._queue_update
    monkeypatch.setattr(
        type(chart.handle), "_queue_update",
        lambda self, name, value: (names.append(name), original(self, name, value)),
    )  # fmt: skip
    return names


def test_costs_over_time(gui):
    chart = CostChart(gui)
    chart.update(window([record(0.1 * k, best=k + 1.0) for k in range(5)], 2))
    time, best, elite, mean = sent(chart.chart)
    np.testing.assert_allclose(time, 0.1 * np.arange(5))
    np.testing.assert_allclose(best, [1, 2, 3, 4, 5])
    np.testing.assert_allclose(elite, 2 * best)
    np.testing.assert_allclose(mean, 4 * best)


def test_only_data_is_sent_when_costs_change(gui, monkeypatch):
    chart = CostChart(gui)
    chart.update(window([record(0.1 * k) for k in range(3)], 2))
    names = assigned(chart.chart, monkeypatch)
    chart.update(window([record(0.1 * k, best=2.0) for k in range(4)], 2))
    chart.update(window([record(0.1 * k, best=2.0) for k in range(4)], 2))
    assert names == ["data"]


def test_cost_axis_is_logarithmic_while_costs_are_positive(gui):
    chart = CostChart(gui)
    chart.update(window([record(0.0), record(0.1)], 2))
    assert chart.chart.is_log
    chart.update(window([record(0.0), record(0.1, best=-1.0)], 2))
    assert not chart.chart.is_log
    assert chart.chart.handle.scales["y"]["distr"] == 1


def test_infinite_costs_leave_a_gap(gui):
    chart = CostChart(gui)
    chart.update(window([record(0.0), record(0.1, best=np.inf)], 2))
    assert chart.chart.is_log
    assert np.isnan(sent(chart.chart)[1][1])


def test_lines_begin_with_a_number_so_that_the_page_finds_their_range(gui):
    chart = CostChart(gui)
    chart.update(window([record(0.0, best=np.inf), record(0.1, best=np.inf), record(0.2)], 2))
    _, best, *_ = sent(chart.chart)
    assert best[0] == 1.0
    assert np.isnan(best[1])
    assert best[2] == 1.0
    # Of a line without any number the page draws a stroke from its first point to the axis.
    _, nothing = _with_gaps([np.array([3.0, 2.0, 5.0]), np.full(3, np.inf)])
    np.testing.assert_array_equal(nothing, [2.0, np.nan, np.nan])


def test_terms_are_stacked_to_a_hundred_percent(gui):
    chart = TermsChart(gui, ("distance", "effort"))
    records = [record(0.0, terms=(3.0, 1.0)), record(0.1, terms=(0.0, 0.0))]
    chart.update(window(records, 2))
    _, first, total = sent(chart.chart)
    np.testing.assert_allclose(first, [75.0, 0.0])
    np.testing.assert_allclose(total, [100.0, 0.0])


def test_share_of_sources_is_counted_over_the_last_steps(gui):
    chart = WinnersChart(gui)
    sources = [int(Source.FLOW)] * AVERAGED + [int(Source.GAUSSIAN)] * AVERAGED
    wins = np.cumsum(np.eye(3)[sources], axis=0)
    records = [record(0.1 * k, source=s, wins=wins[k]) for k, s in enumerate(sources)]
    chart.update(window(records, 2))
    _, previous, gaussian, flow, ratio = sent(chart.chart)
    assert flow[AVERAGED - 1] == 100.0 and gaussian[AVERAGED - 1] == 0.0
    assert gaussian[-1] == 100.0 and flow[-1] == 0.0
    np.testing.assert_allclose(previous + gaussian + flow, 100.0)
    assert ratio[AVERAGED - 1] == 0.0 and ratio[-1] == pytest.approx(50.0)  # of the whole episode


def test_a_source_without_samples_has_no_line(gui):
    chart = WinnersChart(gui)
    chart.update(window([record(0.1 * k, samples=(1, 31, 0)) for k in range(4)], 2))
    _, previous, gaussian, flow, ratio = sent(chart.chart)
    assert np.isfinite([previous, gaussian]).all()
    assert np.isnan(flow[1:]).all() and np.isnan(ratio[1:]).all()


def test_share_of_elites_by_source(gui):
    chart = ElitesChart(gui)
    chart.update(window([record(0.0, elites=(0, 2, 6)), record(0.1, elites=(0, 0, 8))], 2))
    _, previous, gaussian, flow = sent(chart.chart)
    np.testing.assert_allclose([previous, gaussian, flow], [[0, 0], [25, 12.5], [75, 87.5]])


def test_best_cost_of_each_source(gui):
    chart = SourceCostChart(gui)
    costs = [(3.0, 2.0, 1.0), (3.0, np.inf, 1.0), (3.0, 2.0, 0.5)]
    chart.update(window([_with_best(0.1 * k, c) for k, c in enumerate(costs)], 2))
    assert chart.chart.is_log
    _, previous, gaussian, flow = sent(chart.chart)
    np.testing.assert_allclose(previous, 3.0)
    assert np.isnan(gaussian[1]) and gaussian[2] == 2.0
    np.testing.assert_allclose(flow, [1.0, 1.0, 0.5])
    chart.update(window([_with_best(0.0, (1, 1, -1)), _with_best(0.1, (1, 1, 1))], 2))
    assert not chart.chart.is_log


def _with_best(time, costs):
    made = record(time)
    by_source = made.by_source._replace(best=np.asarray(costs, float))
    return dataclasses.replace(made, by_source=by_source)


def test_effective_sample_sizes_are_stacked(gui):
    chart = SampleSizeChart(gui)
    chart.update(window([record(0.0), record(0.1)], 2))
    np.testing.assert_allclose([line[-1] for line in sent(chart.chart)[1:]], [1.0, 4.0, 8.0])
    # A source without samples has no line on top of the others, and still carries those above it.
    chart.update(window([record(0.0), record(0.1, samples=(0, 31, 0))], 2))
    np.testing.assert_allclose(
        [line[-1] for line in sent(chart.chart)[1:]], [1.0, 4.0, np.nan], equal_nan=True
    )


def test_the_legend_names_the_sources_there_are(gui):
    legend = SourcesLegend(gui)
    legend.update(window([], 2))
    assert legend._line.content == ""
    legend.update(window([record(0.0, samples=(1, 31, 0))], 2))
    assert "Gaussian" in legend._line.content and "Flow" not in legend._line.content
    legend.update(window([record(0.0, wins=(2, 5, 3))], 2))
    assert "Flow policy" in legend._line.content
    assert "CEM sample ratio 0.70" in legend._line.content
    legend.update(window([record(0.0, samples=(0, 0, 1), wins=(0, 0, 9))], 2))  # a policy alone
    assert "Flow policy" in legend._line.content and "ratio" not in legend._line.content


def test_times_of_a_step_are_stacked_in_milliseconds(gui):
    chart = SplitChart(gui)
    chart.note_draw(0.0, 0.005)
    chart.update(window([record(0.0), record(0.1)], 2))
    _, *stacked, draw = sent(chart.chart)
    np.testing.assert_allclose([s[0] for s in stacked], [1, 3, 6, 10])
    assert draw[0] == 5.0


def test_rate_stands_beside_the_one_asked_for(gui):
    chart = RateChart(gui)
    timing = Timing(50.0, 20.0, PlanTiming(0, 0, 0, 0), 0.0, 1.0, 0)
    chart.update(window([record(0.0), record(0.1)], 2), timing)
    np.testing.assert_allclose(sent(chart.chart)[1:], [[20.0, 20.0], [50.0, 50.0]])


def test_after_a_rewind_only_the_later_record_counts():
    records = [record(0.0), record(0.1), record(0.2), record(0.05), record(0.15)]
    np.testing.assert_allclose(window(records, 2).time, [0.0, 0.05, 0.15])


def test_records_of_another_task_are_left_out():
    records = [record(0.0, terms=(1.0,)), record(0.1)]
    np.testing.assert_allclose(window(records, 2).time, [0.1])
    assert window([], 3).terms.shape == (0, 3)


@pytest.mark.parametrize("count", [0, 1, 2, MAX_POINTS, MAX_POINTS + 1, 601])
def test_thinning_keeps_the_newest(count):
    rows = thinned(count)
    assert len(rows) <= MAX_POINTS
    assert np.all(np.diff(rows) > 0)
    if count:
        assert rows[-1] == count - 1


def test_plan_over_the_horizon(gui):
    session = FakeSession()
    session.advance()
    task, plan = session.snapshot.task, session.snapshot.plan
    chart = KnotsChart(gui, task)
    chart.update(session.snapshot)
    time, low, high, knots, executed = sent(chart.chart)
    assert np.all(np.diff(time) > 0)
    at_knots = np.isin(time, plan.knot_times)
    np.testing.assert_allclose(knots[at_knots], plan.mean[:, 0])
    np.testing.assert_allclose((high - low)[at_knots], 2 * plan.std[:, 0])
    np.testing.assert_allclose(executed[0], plan.controls[0, 0])


def test_spread_of_each_source(gui):
    session = FakeSession()
    session.advance()
    plan = session.snapshot.plan
    source = np.array([0] + [1] * 20 + [2] * 11)
    session.change(plan=plan._replace(source=source))
    chart = KnotsChart(gui, session.snapshot.task)
    chart.update(session.snapshot)
    time, *lines = sent(chart.spread.chart)
    np.testing.assert_allclose(time, plan.knot_times)
    for kind, (low, high, mean) in enumerate(np.reshape(lines, (3, 3, -1))):
        knots = plan.knots[source == kind, :, 0]
        np.testing.assert_allclose(mean, knots.mean(axis=0))
        if kind:
            np.testing.assert_allclose((low + high) / 2, mean)
            np.testing.assert_allclose((high - low) / 2, knots.std(axis=0))
        else:
            assert np.isnan([low[1:], high[1:]]).all()  # one sample has no spread
    session.change(plan=plan)  # without a policy
    chart.update(session.snapshot)
    assert np.isnan(sent(chart.spread.chart)[9][1:]).all()
    assert "Flow" not in chart.spread._legend.content


def test_knots_in_the_past_are_not_drawn():
    session = FakeSession()
    plan = made_up_plan(CartTask(), session.snapshot.state, seed=0)
    plan = plan._replace(knot_times=plan.knot_times - 0.2)
    time, *_ = plan_lines(plan, 0, 0.01)
    assert time.min() >= float(plan.time)
