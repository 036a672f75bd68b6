import numpy as np
import pytest
import viser
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scene_fixtures import Recorder, Slider, make_plan

from gpc_studio.app.web.overlays import colours
from gpc_studio.app.web.overlays.lines import Polylines, thinned
from gpc_studio.app.web.overlays.options import OverlayOptions
from gpc_studio.app.web.overlays.path import ExecutedPath
from gpc_studio.app.web.overlays.rollouts import RolloutLines, selected
from gpc_studio.controllers.plan import Source
from gpc_studio.options import describe, updated


@pytest.fixture(scope="module")
def server():
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


COST = np.array([3.0, 1.0, np.inf, 2.0, 5.0, 4.0, np.nan, 0.5, 6.0, 7.0])


def test_choices_of_rollouts():
    assert selected(COST, 3, "best").tolist() == [7, 1, 3]
    assert selected(COST, 3, "elites").tolist() == [7]
    assert set(selected(COST, 2, "worst").tolist()) == {2, 6}
    spread = selected(COST, 4, "all")
    assert spread[0] == 7 and len(spread) == 4 and COST[spread[-1]] not in COST[:2]
    assert selected(COST, 100, "all").tolist()[:3] == [7, 1, 3]
    assert len(selected(COST, 100, "all")) == 10
    for which in ("best", "elites", "all", "worst"):
        assert len(selected(COST, 0, which)) == 0
    assert selected(COST, 1, "all").tolist() == [7]


@given(
    arrays.arrays(float, st.integers(1, 60), elements=st.floats(allow_nan=True)),
    st.integers(0, 128),
    st.sampled_from(["best", "elites", "all", "worst"]),
)
@settings(max_examples=60, deadline=None)
def test_selection_is_a_set_of_samples_no_larger_than_asked(cost, count, which):
    shown = selected(cost, count, which)
    assert len(shown) <= count
    assert len(set(shown.tolist())) == len(shown)


@given(arrays.arrays(float, st.integers(1, 40), elements=st.floats(-1e6, 1e6)))
@settings(max_examples=60, deadline=None)
def test_percentiles_follow_the_order_of_the_costs_only(cost):
    share = colours.percentiles(cost)
    assert ((share >= 0) & (share <= 1)).all()
    for i in range(len(cost)):
        assert share[i] == pytest.approx(
            ((cost < cost[i]).sum() + ((cost == cost[i]).sum() - 1) / 2) / max(len(cost) - 1, 1)
        )
    scaled = 64.0 * cost  # exact, so that no two costs become equal
    np.testing.assert_array_equal(share, colours.percentiles(scaled))


def test_one_outlier_does_not_wash_out_the_colours():
    share = colours.percentiles(np.array([1.0, 1.1, 1.2, 1.3, 1e9]))
    np.testing.assert_allclose(share, [0, 0.25, 0.5, 0.75, 1])


def test_diverged_samples_are_red_and_dear_ones_are_darker():
    plan = make_plan(Slider())
    for by in ("cost", "source"):
        rgb = colours.rollout_colours(plan, by)
        assert tuple(rgb[3]) == colours.DIVERGED
    rgb = colours.rollout_colours(plan, "cost")
    order = np.argsort(plan.cost)[:-1]
    luminance = rgb[order] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) < 0).all()


def test_sources_have_one_colour_everywhere():
    plan = make_plan(Slider())
    rgb = colours.rollout_colours(plan, "source")
    for n in (0, 1, 2, 4, 5):
        assert tuple(rgb[n]) == colours.source_colour(int(plan.source[n]))
    assert len({colours.source_colour(s) for s in Source}) == len(Source)
    assert colours.source_title(Source.GAUSSIAN) == Source.GAUSSIAN.title
    assert colours.source_title(17) == "Source 17"


def test_line_colours_undo_the_srgb_curve():
    np.testing.assert_array_equal(
        colours.line_colour((180, 60, 20)), np.array([116, 12, 2], np.uint8)
    )
    assert colours.line_colour((255, 255, 255)).tolist() == [255] * 3


def test_legend_says_what_is_drawn():
    plan = make_plan(Slider())
    by_cost = colours.legend(plan, OverlayOptions())
    finite = plan.cost[np.isfinite(plan.cost)]
    assert by_cost.ticks == (
        f"{finite.min():.3g}",
        f"{np.median(finite):.3g}",
        f"{finite.max():.3g}",
    )
    assert by_cost.gradient[0] == tuple(np.round(colours.cost_colours(np.array(0.0))).astype(int))
    assert ("Diverged (1)", colours.DIVERGED) in by_cost.entries
    by_source = colours.legend(plan, updated(OverlayOptions(), {"colour_by": "source"}))
    assert (Source.GAUSSIAN.title, colours.source_colour(Source.GAUSSIAN)) in by_source.entries
    assert by_source.gradient == ()
    bare = colours.legend(None, OverlayOptions(best_plan=False))
    assert bare.entries == () and bare.ticks == ()
    text = colours.legend_html(
        colours.Legend("<b>", (("a & b", (1, 2, 3)),), by_cost.gradient, ("1",))
    )
    assert "&lt;b&gt;" in text and "a &amp; b" in text and "linear-gradient" in text
    assert "rgb(1,2,3)" in text


def test_samples_on_their_way_stand_in_for_those_of_the_plan(server):
    plan = make_plan(Slider())
    early = plan._replace(
        traces=plan.traces[:2] + 5.0, cost=plan.cost[:2], source=np.full(2, Source.FLOW)
    )
    options = OverlayOptions(colour_by="source", flow_time=0.25)
    lines = RolloutLines(server, "/way")
    lines.update(plan, options)
    best = lines.best._node.points.copy()
    lines.update(plan, options, early)
    assert lines.samples._node.points.min() >= early.traces.min() - 1e-6
    np.testing.assert_array_equal(lines.best._node.points, best)
    said = colours.legend(plan, options, early)
    assert said.title == "Rollouts by source, at flow time 0.25"
    assert [label for label, _ in said.entries] == [Source.FLOW.title, "Best plan"]
    lines.remove()


def test_a_controller_that_acts_without_rollouts_has_none(server):
    plan = make_plan(Slider())
    bare = plan._replace(
        traces=plan.traces[:0], qpos=plan.qpos[:0], cost=np.full(len(plan.cost), np.nan)
    )
    lines = RolloutLines(server, "/bare")
    lines.update(plan, OverlayOptions())
    lines.update(bare, OverlayOptions())
    assert not lines.samples._node.visible and not lines.best._node.visible
    said = colours.legend(bare, OverlayOptions())
    assert "No rollouts" in said.title and said.entries == ()
    lines.remove()


def test_options_describe_themselves():
    assert describe(OverlayOptions)["rollouts"].max == 128
    assert OverlayOptions().rollouts == 32


def test_thinning_keeps_both_ends():
    assert thinned(10, 50).tolist() == list(range(10))
    kept = thinned(301, 50)
    assert kept[0] == 0 and kept[-1] == 300 and len(kept) <= 50
    assert np.diff(kept).max() <= 7


def test_rollouts_are_drawn_where_they_are_with_unused_segments_of_no_length(server, monkeypatch):
    task = Slider()
    plan = make_plan(task, samples=12, steps=80)
    lines = RolloutLines(server, "/r1")
    lines.update(plan, OverlayOptions(rollouts=4, which="best"))
    node = server.scene._handle_from_node_name["/r1/rollouts"]
    points = node.points.copy()
    kept = thinned(81, 50)
    order = np.argsort(np.where(np.isfinite(plan.cost), plan.cost, np.inf))[:4]
    expected = plan.traces[order][:, kept, 0]  # (4, P, 3)
    segments = np.stack([expected[:, :-1], expected[:, 1:]], 2).reshape(-1, 2, 3)
    np.testing.assert_array_equal(points, segments)
    assert node.thickness_units == "screen"
    rgb = colours.line_colour(colours.rollout_colours(plan, "cost")[order])
    np.testing.assert_array_equal(node.colors.reshape(4, -1, 3)[:, 0], rgb)

    recorder = Recorder(server, monkeypatch)
    lines.update(make_plan(task, seed=1), OverlayOptions(rollouts=2, which="best"))
    assert recorder.created() == []
    assert node.points.shape == points.shape
    used = len(kept[:-1]) * 2
    assert np.ptp(node.points[used:], axis=(0, 1)).tolist() == [0, 0, 0]
    lengths = np.linalg.norm(node.points[:, 1] - node.points[:, 0], axis=1)
    assert (lengths[:used] > 0).all() and (lengths[used:] == 0).all()

    lines.update(make_plan(task, seed=1), OverlayOptions(rollouts=8, which="best"))
    assert [m.name for m in recorder.created()] == ["/r1/rollouts"]  # more room was needed
    lines.remove()


def test_several_traced_points_are_separate_lines(server):
    plan = make_plan(Slider(), samples=3, steps=4)
    traces = np.concatenate([plan.traces, plan.traces + 1.0], axis=2)  # (3, 5, 2, 3)
    lines = RolloutLines(server, "/r2")
    lines.update(plan._replace(traces=traces, cost=np.array([1.0, 2, 3])), OverlayOptions())
    node = server.scene._handle_from_node_name["/r2/rollouts"]
    ends = node.points.reshape(3, 2, 4, 2, 3)
    np.testing.assert_allclose(ends[0, 0, -1, 1], traces[0, -1, 0], rtol=1e-6)
    np.testing.assert_allclose(ends[0, 1, -1, 1], traces[0, -1, 1], rtol=1e-6)
    np.testing.assert_array_equal(
        node.colors.reshape(6, -1, 3)[0], node.colors.reshape(6, -1, 3)[1]
    )
    lines.remove()


def test_best_plan_is_a_thicker_line_of_its_own(server):
    plan = make_plan(Slider())
    lines = RolloutLines(server, "/r3")
    lines.update(plan, OverlayOptions(rollouts=0))
    nodes = server.scene._handle_from_node_name
    assert "/r3/rollouts" not in nodes
    best = nodes["/r3/best"]
    assert best.thickness > 2
    np.testing.assert_allclose(best.points[-1, 1], plan.traces[plan.best, -1, 0], rtol=1e-6)
    lines.update(plan, OverlayOptions(rollouts=4, best_plan=False))
    assert not best.visible
    lines.update(None, OverlayOptions())
    assert not nodes["/r3/rollouts"].visible
    lines.update(plan, OverlayOptions())
    assert best.visible and nodes["/r3/rollouts"].visible
    all_diverged = plan._replace(cost=np.full(12, np.inf))
    lines.update(all_diverged, OverlayOptions())
    assert not best.visible
    lines.remove()


def test_points_that_are_not_finite_are_left_out(server):
    lines = Polylines(server, "/r4", 1.0)
    points = np.zeros((1, 5, 3))
    points[0, :, 0] = [0, 1, np.nan, 3, 4]
    lines.update(points, (255, 0, 0))
    node = server.scene._handle_from_node_name["/r4"]
    assert node.points[:, :, 0].tolist() == [[0, 1], [3, 4]]
    lines.remove()


def test_path_grows_without_a_new_node(server, monkeypatch):
    path = ExecutedPath(server, "/p")
    grown = np.cumsum(np.ones((500, 2, 3)), 0)
    path.update(grown[:1], (255, 255, 255))
    assert "/p/path" not in server.scene._handle_from_node_name
    path.update(grown[:2], (255, 255, 255))
    recorder = Recorder(server, monkeypatch)
    path.update(grown[:90], (255, 255, 255))
    path.update(grown, (255, 255, 255))
    assert recorder.created() == []
    node = server.scene._handle_from_node_name["/p/path"]
    np.testing.assert_allclose(node.points.max(), 500.0)
    recorder.clear()
    path.update(None, (255, 255, 255))
    assert not node.visible
    path.remove()
