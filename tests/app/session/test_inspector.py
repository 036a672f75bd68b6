"""What is seen inside a plan is what the planner did."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest

from gpc_studio.app.planners import default_options, make_planner
from gpc_studio.app.session.inspector import Inspector
from gpc_studio.app.session.lens import Lens, at_time, flow_part
from gpc_studio.controllers.plan import Source
from gpc_studio.options import updated
from gpc_studio.scenes import load_task
from tests.untrained import plans_in_a_row, save_untrained

CASES = {
    "push_t": ("gpc_cem", {"history": True}, {}),
    "pendulum": ("gpc_mppi", {"network": "cnn", "history": True}, {"iterations": 2}),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="module", params=CASES)
def origins(request, home):
    """Two plans in a row of a planner with a random policy."""
    task = load_task(request.param)
    controller, architecture, more = CASES[request.param]
    save_untrained(task, request.param, **architecture)
    changes = {"samples": 12, "flow_steps": 4, "warm_start": 0.3, "horizon": 0.5, **more}
    options = updated(default_options(task, controller), changes)
    planner = make_planner(task, controller, options)
    yield plans_in_a_row(planner, options, 2)
    planner.close()


@pytest.fixture(scope="module")
def lens(origins):
    lens = Lens(origins[1], flow_part(origins[1]))
    yield lens
    lens.close()


def test_at_the_end_of_the_way_are_the_samples_of_the_plan(origins, lens):
    for origin in origins:  # the second has another observation before it
        part, plan = flow_part(origin), origin.plan
        flow = plan.source == Source.FLOW
        assert flow.sum() == part.kept.sum() >= 5
        seen = lens.roll_out(origin, part, at_time(lens.flow(origin, part), 1.0),
                             origin.job.weights)  # fmt: skip
        np.testing.assert_allclose(seen.knots, plan.knots[flow], atol=2e-5)
        np.testing.assert_allclose(seen.cost, plan.cost[flow], rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(seen.traces, plan.traces[flow], atol=1e-4)
        np.testing.assert_allclose(seen.qpos, plan.qpos[flow], atol=1e-4)
        np.testing.assert_allclose(seen.cost_terms, plan.cost_terms[flow], rtol=1e-3, atol=1e-4)


def test_the_way_begins_at_the_noise_and_leads_somewhere_else(origins, lens):
    part = flow_part(origins[1])
    way = lens.flow(origins[1], part)
    noise = origins[1].plan.latents[origins[1].plan.source == Source.FLOW]
    np.testing.assert_array_equal(way[0], noise)
    assert len(way) == 5
    early = lens.roll_out(origins[1], part, at_time(way, 0.25), origins[1].job.weights)
    flow = origins[1].plan.source == Source.FLOW
    assert np.abs(early.knots - origins[1].plan.knots[flow]).max() > 1e-2
    assert np.abs(early.qpos - origins[1].plan.qpos[flow]).max() > 1e-3


def test_candidates_in_policy_units(origins, lens):
    origin, part = origins[1], flow_part(origins[1])
    units = lens.units(origin)
    flow = origin.plan.source == Source.FLOW
    ends = lens.beside_units(part, lens.flow(origin, part)[-1])
    assert units.shape == (len(origin.plan.knots), ends.shape[1])
    # Samples that the limits of the actuators cut off are elsewhere than the policy put them.
    low, high = origin.job.pilot.task.control_range
    knots = origin.plan.knots[flow]
    free = ((knots > low) & (knots < high)).all(-1).repeat(knots.shape[-1], -1)
    assert free.any()
    np.testing.assert_allclose(units[flow][free], ends[free], atol=1e-4)


def test_between_euler_steps_the_way_is_straight():
    points = np.arange(12, dtype=np.float32).reshape(3, 2, 2) ** 2
    np.testing.assert_array_equal(at_time(points, 0.0), points[0])
    np.testing.assert_array_equal(at_time(points, 0.5), points[1])
    np.testing.assert_array_equal(at_time(points, 1.0), points[2])
    np.testing.assert_allclose(at_time(points, 0.25), (points[0] + points[1]) / 2)


def test_plans_without_a_policy_have_nothing_to_see(origins):
    origin = origins[0]
    assert flow_part(None) is None
    assert flow_part(origin._replace(plan=origin.plan._replace(latents=None))) is None


# One policy will do for the thread.
one_policy = pytest.mark.parametrize("origins", ["pendulum"], indirect=True)


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


@one_policy
def test_the_inspector_shows_what_was_asked_last(origins):
    before = threading.active_count()
    inspector = Inspector()
    assert threading.active_count() == before and inspector.newest is None
    try:
        for k in range(50):
            inspector.look(origins[k % 2], k / 50)
        inspector.look(origins[1], 0.5)
        until(lambda: inspector.newest is not None and inspector.newest.time == 0.5)
        view = inspector.newest
        assert view.origin is origins[1]
        assert view.way.shape[:2] == (5, len(view.plan.knots))
        inspector.look(None, 1.0)
        assert inspector.newest is None
        inspector.look(origins[0], 1.0)
        until(lambda: inspector.newest is not None)
        flow = origins[0].plan.source == Source.FLOW
        np.testing.assert_allclose(
            inspector.newest.plan.traces, origins[0].plan.traces[flow], atol=1e-4
        )
    finally:
        inspector.stop()
        inspector.stop()
    assert threading.active_count() == before


@one_policy
def test_a_view_of_another_task_is_not_shown(origins):
    job = origins[1].job
    pilot = dataclasses.replace(job.pilot, task=load_task("pendulum"))
    elsewhere = origins[1]._replace(job=job._replace(pilot=pilot))
    inspector = Inspector()
    try:
        inspector.look(origins[0], 0.5)
        until(lambda: inspector.newest is not None)
        inspector.look(elsewhere, 0.5)
        assert inspector.newest is None
        until(lambda: inspector.newest is not None)
        assert inspector.newest.origin is elsewhere
        # One that is under way when another is asked for comes too late.
        entered, gate, view = threading.Event(), threading.Event(), inspector._view
        inspector._view = lambda *wanted: entered.set() or (gate.wait(10.0) and view(*wanted))
        inspector.look(origins[0], 0.25)
        assert entered.wait(10.0)
        inspector.look(elsewhere, 0.75)
        gate.set()
        until(lambda: inspector.newest is not None)
        assert inspector.newest.origin is elsewhere
    finally:
        inspector.stop()


@one_policy
def test_a_plan_that_cannot_be_looked_into_is_told_once(origins, caplog):
    inspector = Inspector()
    try:
        broken = origins[0]._replace(before=None)
        inspector.look(broken, 0.5)
        until(lambda: caplog.records)
        time.sleep(0.3)
        assert len(caplog.records) == 1 and inspector.newest is None
        inspector.look(origins[0], 0.5)
        until(lambda: inspector.newest is not None)
    finally:
        inspector.stop()
