"""The latent view: axes that keep still, the drawing, and the panel."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fake_session import FakeSession

from gpc_studio.app.planners import default_options, make_planner
from gpc_studio.app.session.inspector import FlowView
from gpc_studio.app.session.lens import Lens, at_time, flow_part
from gpc_studio.app.web.latent.axes import StableAxes, StableRange
from gpc_studio.app.web.latent.drawing import SIZE, Cloud, key, picture
from gpc_studio.app.web.overlays.colours import source_colour
from gpc_studio.app.web.panels import latent as panel_module
from gpc_studio.app.web.panels.latent import LatentPanel
from gpc_studio.app.web.panels.view import ViewPanel
from gpc_studio.app.web.server import WebServer
from gpc_studio.controllers.plan import Source
from gpc_studio.options import updated
from gpc_studio.scenes import load_task
from tests.untrained import plans_in_a_row, save_untrained


def cloud(rng, stds, count=40):
    return rng.normal(size=(count, len(stds))) * np.asarray(stds)


def turn_between(a, b):
    """Largest angle between the axes before and after, degrees."""
    return np.degrees(np.arccos(np.clip(np.sum(a * b, axis=1), -1, 1))).max()


@pytest.mark.parametrize("seed", range(5))
def test_axes_never_flip(seed):
    rng = np.random.default_rng(seed)
    axes, before = StableAxes(), None
    for k in range(300):
        # The second and third direction change places again and again; so do the first two.
        swing = np.sin(2 * np.pi * k / 60)
        axes.update(cloud(rng, [2 + swing, 2 - swing, 1.5 + swing, 0.3, 0.1]))
        np.testing.assert_allclose(axes.axes @ axes.axes.T, np.eye(2), atol=1e-9)
        if before is not None:
            assert turn_between(before, axes.axes) < 20.0
        before = axes.axes.copy()


def test_eigenvectors_alone_would_flip():
    """The test above can fail: plain principal components do not pass it."""
    rng, before, worst = np.random.default_rng(0), None, 0.0
    for _ in range(100):
        points = cloud(rng, [2.0, 1.9, 1.5])
        axes = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][:2]
        worst = max(worst, 0.0 if before is None else turn_between(before, axes))
        before = axes
    assert worst > 90.0


def test_axes_find_the_principal_components():
    rng = np.random.default_rng(1)
    axes = StableAxes()
    axes.update(cloud(rng, [0.1, 0.1, 1.0, 2.0]))
    for _ in range(400):
        axes.update(cloud(rng, [3.0, 1.5, 0.2, 0.1]))
    np.testing.assert_allclose(np.abs(axes.axes[:, :2]).max(axis=1), 1.0, atol=0.02)
    assert sorted(axes.explained) == pytest.approx([0.2, 0.8], abs=0.03)
    np.testing.assert_allclose(axes.centre, 0.0, atol=0.5)


def test_axes_of_other_points_begin_anew():
    rng = np.random.default_rng(1)
    axes = StableAxes()
    axes.update(np.full((3, 4), np.nan))
    assert axes.axes is None
    axes.update(cloud(rng, [1, 2, 3]))
    axes.update(cloud(rng, [1, 2, 3, 4]))
    assert axes.axes.shape == (2, 4)
    assert axes.project(np.zeros((7, 5, 4))).shape == (7, 5, 2)
    axes.update(np.ones((1, 4)))  # one point, all alike
    assert np.isfinite(axes.axes).all()


def test_equal_points_have_no_variance_and_no_trouble():
    axes = StableAxes()
    for _ in range(3):
        axes.update(np.ones((5, 6)))
    assert np.isfinite(axes.axes).all() and np.isfinite(axes.explained).all()


def test_range_grows_quickly_and_shrinks_slowly():
    kept = StableRange()
    first = kept.update(np.ones((10, 2)))
    grown = kept.update(np.full((10, 2), 9.0))
    assert grown > 4 * first
    assert kept.update(np.ones((10, 2))) > 0.9 * grown
    assert kept.update(np.full((3, 2), np.nan)) > 0


def made_up_cloud(ways=2):
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    colours = np.array([[10, 20, 30], [10, 20, 30], [200, 0, 0], [200, 0, 0]])
    noise = 0.5 * points[1:]
    return Cloud(points, colours, np.array([True, False, False, True]), 2,
                 np.stack([noise, points[1:]][:ways]) if ways else np.zeros((0, 3, 2)))  # fmt: skip


def test_the_picture_has_every_mark():
    drawn = picture(made_up_cloud(), 2.0, np.array([0.5, 0.251]))
    assert "50 % of the variance" in drawn and "25 % of the variance" in drawn
    dots = re.findall(r'class="dot" stroke="(#\w+)" d="([^"]+)"', drawn)
    assert {colour: d.count("M") for colour, d in dots} == {"#0a141e": 2, "#c80000": 2}
    assert drawn.count('class="best"') == 1
    assert re.search(r'class="elite" d="([^"]+)"', drawn)[1].count("M") == 2
    assert re.search(r'class="noise"[^>]+d="([^"]+)"', drawn)[1].count("M") == 3
    numbers = [float(n) for n in re.findall(r"M(-?[\d.]+)", drawn)]
    assert all(-10 < n < SIZE + 10 for n in numbers)
    assert 'class="way"' not in picture(made_up_cloud(0), 2.0, np.array([0.5, 0.25]))


def test_what_is_not_finite_or_far_away_does_not_break_the_picture():
    bad = made_up_cloud()._replace(points=np.array([[np.nan, 0], [np.inf, 0], [1e9, 0], [0, 0]]))
    drawn = picture(bad, 1.0, np.zeros(2))
    assert "nan" not in drawn and "inf" not in drawn


def test_the_key_says_what_colours_mean():
    by_source = key([Source.GAUSSIAN, Source.FLOW], False, True)
    assert "Flow policy" in by_source and "Gaussian" in by_source and "Previous" not in by_source
    assert "noise to sample" in by_source
    by_cost = key([Source.FLOW], True, False)
    assert "cheap to dear" in by_cost and "Flow policy" not in by_cost and "noise" not in by_cost


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Two plans in a row of GPC-CEM with a random policy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        task = load_task("pendulum")
        save_untrained(task, "pendulum")
        changes = {"samples": 16, "flow_steps": 3, "checkpoint": "pendulum"}
        options = updated(default_options(task, "gpc_cem"), changes)
        planner = make_planner(task, "gpc_cem", options)
        yield plans_in_a_row(planner, options, 2)
        planner.close()


@pytest.fixture
def shown(monkeypatch, outcomes):
    """Panel, view, session and what the panel is told of flow views."""
    monkeypatch.setattr(panel_module, "REDRAW_SECONDS", 0.0)
    server = WebServer(port=0)
    gui, session, views = server.viser.gui, FakeSession(), []
    view = ViewPanel(gui, True, lambda dark: None)
    panel = LatentPanel(gui, view, lambda: views[-1] if views else None)
    yield panel, view, session, views
    server.stop()


def show(session, outcome):
    session.change(
        plan=outcome.plan, origin=outcome, task=outcome.job.pilot.task,
        options=outcome.job.options, wanted_controller="gpc_cem",
    )  # fmt: skip


def dots(panel, css):
    found = re.search(rf'class="dot" stroke="{css}" d="([^"]+)"/>', panel._picture.content)
    return re.findall(r"M([\d.]+) ([\d.]+)", found[1]) if found else []


FLOW = "#{:02x}{:02x}{:02x}".format(*source_colour(Source.FLOW))


def test_without_a_policy_there_is_a_sentence(shown, outcomes):
    panel, _, session, _ = shown
    session.advance()
    panel.update(session.snapshot)
    assert "mppi draws from no policy" in panel._picture.content
    session.change(options=outcomes[0].job.options, origin=None)
    panel.update(session.snapshot)
    assert "first plan" in panel._picture.content


def test_all_samples_and_their_noise_are_drawn(shown, outcomes):
    panel, _, session, _ = shown
    for outcome in outcomes:
        show(session, outcome)
        panel.update(session.snapshot)
        count = int(np.sum(outcome.plan.source == Source.FLOW))
        assert len(dots(panel, FLOW)) == count
        noise = re.search(r'class="noise"[^>]+d="([^"]+)"', panel._picture.content)
        assert noise[1].count("M") == count
    drawn = panel._picture.content
    panel._choices["colour"] = "cost"
    panel.update(session.snapshot)
    assert panel._picture.content != drawn and "cheap to dear" in panel._picture.content
    panel._choices["noise"] = False
    panel.update(session.snapshot)
    assert 'class="noise"' not in panel._picture.content


def test_without_rollouts_nothing_is_cheap_or_best(shown, outcomes):
    panel, _, session, _ = shown
    plan = outcomes[0].plan
    bare = plan._replace(
        traces=plan.traces[:0], qpos=plan.qpos[:0], cost=np.full(len(plan.cost), np.nan)
    )
    panel._choices["colour"] = "cost"
    show(session, outcomes[0]._replace(plan=bare))
    panel.update(session.snapshot)
    picture, legend = panel._picture.content.split('<div class="gpc-key">')
    assert 'class="best"' not in picture and dots(panel, FLOW)
    assert "Flow policy" in legend and "cheap" not in legend


def test_at_an_earlier_time_points_are_on_their_way(shown, outcomes):
    panel, view, session, views = shown
    outcome, part = outcomes[1], flow_part(outcomes[1])
    lens = Lens(outcome, part)
    way = lens.flow(outcome, part)
    show(session, outcome)
    panel.update(session.snapshot)
    final = dots(panel, FLOW)
    for flow_time in (0.0, 0.5):
        view.set("flow_time", flow_time)
        plan = lens.roll_out(outcome, part, at_time(way, flow_time), outcome.job.weights)
        views.append(FlowView(outcome, flow_time, lens.beside_units(part, way), plan))
        panel.update(session.snapshot)
        assert len(dots(panel, FLOW)) == len(final)
        assert dots(panel, FLOW) != final
    assert panel._time.handle.value == 0.5
    lens.close()


def test_the_picture_is_small_and_not_sent_twice(shown, outcomes, monkeypatch):
    panel, _, session, _ = shown
    show(session, outcomes[0])
    panel.update(session.snapshot)
    assert len(panel._picture.content) < 20_000
    monkeypatch.setattr(panel, "_content", lambda *arguments: pytest.fail("drawn again"))
    panel.update(session.snapshot)
