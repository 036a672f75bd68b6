"""The whole 3-D view."""

import dataclasses
import time

import numpy as np
import pytest
from scene_fixtures import Recorder, Slider, connected, make_plan, make_snapshot, node_names

from gpc_studio.app.web.overlays.options import OverlayOptions
from gpc_studio.app.web.scene.view import SceneCallbacks, SceneView, best_plan_states
from gpc_studio.scenes.task import Goal


@pytest.fixture
def view(server, events):
    callbacks = SceneCallbacks(
        on_goal=lambda pos, quat: events.append(("goal", pos, quat)),
        on_push=lambda body, point, force: events.append(("push", body, point, force)),
        on_release=lambda: events.append(("release",)),
    )
    view = SceneView(server, Slider(), callbacks)
    yield view
    view.remove()


def test_drawing_updates_everything_in_place(view, server, monkeypatch):
    task, overlay = view.task, OverlayOptions()
    view.draw(make_snapshot(task), overlay)
    names = node_names(server)
    assert {"/world", "/plan/rollouts", "/plan/best", "/plan/path", "/goal/0", "/ghosts"} <= names
    recorder = Recorder(server, monkeypatch)
    for number in range(2, 5):
        state = make_snapshot(task).state._replace(qpos=np.array([0.1 * number]))
        plan = make_plan(task, seed=number)
        snapshot = make_snapshot(task, number, state=state, plan=plan)
        view.draw(snapshot, overlay)
    assert node_names(server) == names
    assert recorder.created() == []
    cart = view.world.handles[task.model.body("cart").id]
    np.testing.assert_allclose(cart.position, [0.4, 0, 1])


def test_drawing_nothing_new_sends_nothing_and_takes_no_time(view, server, monkeypatch):
    snapshot, overlay = make_snapshot(view.task), OverlayOptions()
    view.draw(snapshot, overlay)
    recorder = Recorder(server, monkeypatch)
    start = time.perf_counter()
    for _ in range(100):
        view.draw(snapshot, overlay)
    assert (time.perf_counter() - start) / 100 < 1e-3
    assert recorder.names() == []


def test_a_new_state_with_the_old_plan_leaves_the_lines_alone(view, server, monkeypatch):
    snapshot, overlay = make_snapshot(view.task), OverlayOptions()
    view.draw(snapshot, overlay)
    recorder = Recorder(server, monkeypatch)
    state = snapshot.state._replace(qpos=np.array([0.3]))
    view.draw(dataclasses.replace(snapshot, number=2, state=state), overlay)
    assert set(recorder.names()) == {"SetPositionMessage"}


def test_overlays_can_be_turned_off(view, server):
    snapshot = make_snapshot(view.task, push=np.array([[0, 0, 1], [5.0, 0, 0]]))
    view.draw(snapshot, OverlayOptions())
    nodes = server.scene._handle_from_node_name
    shown = ["/plan/rollouts", "/plan/best", "/plan/path", "/plan/push", "/goal/0", "/ghosts"]
    assert all(nodes[name].visible for name in shown)
    off = OverlayOptions(
        rollouts=0, best_plan=False, ghosts=False, path=False, goal_handle=False, push=False,
        shadows=False,
    )  # fmt: skip
    view.draw(snapshot, off)
    assert not any(nodes[name].visible for name in shown)
    assert nodes["/backdrop/sun"].cast_shadow is False


def test_ghosts_stand_along_the_best_plan(view):
    plan = make_plan(view.task)
    states = best_plan_states(plan, 4)
    np.testing.assert_allclose(states, plan.qpos[plan.best][[20, 40, 60, 80]])
    view.draw(make_snapshot(view.task, plan=plan), OverlayOptions(ghost_count=4))
    view.draw(make_snapshot(view.task, plan=plan), OverlayOptions(ghost_count=2))
    assert view._ghosts is not None and view._ghosts.count == 2


def test_no_plan_draws_the_world_alone(view, server):
    view.draw(make_snapshot(view.task), OverlayOptions())
    view.draw(make_snapshot(view.task, 2, plan=None, epoch=1), OverlayOptions())
    nodes = server.scene._handle_from_node_name
    assert not nodes["/plan/rollouts"].visible and not nodes["/ghosts"].visible


def test_a_snapshot_of_another_task_is_refused(view):
    with pytest.raises(ValueError, match="new view"):
        view.draw(make_snapshot(Slider()), OverlayOptions())


def test_removing_leaves_an_empty_scene_and_ends_a_push(server, monkeypatch):
    connected(server, monkeypatch, 1)
    released = []
    before = node_names(server)
    for _ in range(2):
        view = SceneView(
            server, Slider(), SceneCallbacks(lambda *a: None, lambda *a: None,
                                             lambda: released.append(1)),
        )  # fmt: skip
        view.draw(make_snapshot(view.task), OverlayOptions())
        view.push.drag(1, 1, "start", (0, 0, 1), (0, 0, 2))
        view.remove()
    assert released == [1, 1]
    assert node_names(server) == before


def test_a_view_that_cannot_be_built_leaves_nothing_behind(server):
    class Wrong(Slider):
        name = "wrong"
        goal = Goal("cart", ("x",))

    before = node_names(server)
    callbacks = SceneCallbacks(lambda *a: None, lambda *a: None, lambda: None)
    with pytest.raises(ValueError, match="mocap"):
        SceneView(server, Wrong(), callbacks)
    assert node_names(server) == before


def test_theme_changes_ground_sky_and_path(view, server):
    view.draw(make_snapshot(view.task), OverlayOptions())
    path = server.scene._handle_from_node_name["/plan/path"]
    light = path.colors[0, 0].copy()
    view.set_dark(True)
    view.draw(make_snapshot(view.task), OverlayOptions())
    assert (server.scene._handle_from_node_name["/plan/path"].colors[0, 0] > light).all()


def test_camera_of_the_task_is_the_one_browsers_start_with(view, server):
    view.set_initial_camera()
    np.testing.assert_allclose(server.initial_camera.position, view.task.camera.position)
    np.testing.assert_allclose(server.initial_camera.look_at, view.task.camera.look_at)
    assert server.initial_camera.fov == pytest.approx(np.radians(45.0))
