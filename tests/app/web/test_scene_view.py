import dataclasses
import threading
import time

import mujoco
import numpy as np
import pytest
import viser
from scene_fixtures import (
    Recorder,
    Slider,
    all_geoms,
    make_plan,
    make_snapshot,
    node_names,
)

from gpc_studio.app.session import push_limit
from gpc_studio.app.web.overlays.options import OverlayOptions
from gpc_studio.app.web.overlays.push import PushTool, spring_force
from gpc_studio.app.web.scene.gizmo import Control, GoalGizmo, controls_of, restricted
from gpc_studio.app.web.scene.view import SceneCallbacks, SceneView, best_plan_states
from gpc_studio.app.web.scene.world import World
from gpc_studio.scenes.task import Goal


@pytest.fixture
def server():
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


@pytest.fixture
def events():
    return []


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


def connected(server, monkeypatch, *clients):
    monkeypatch.setattr(server, "get_clients", lambda: dict.fromkeys(clients))


# --- Goal handle -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal("g", ("x",)), [Control((True, False, False), True, False)]),
        (Goal("g", ("x", "y"), ("z",)), [Control((True, True, False), True, True)]),
        (Goal("g", (), ("y",)), [Control((True, False, True), False, True)]),
        (Goal("g", ("x", "y", "z"), ("x", "y", "z")), [Control((True,) * 3, True, True)]),
        (Goal("g", ("x", "y", "z")), [Control((True,) * 3, True, False)]),
        (Goal("g", (), ("x", "y", "z")), [Control((True,) * 3, False, True)]),
        (
            Goal("g", ("x",), ("z",)),
            [Control((True, False, False), True, False), Control((True, True, False), False, True)],
        ),
        (Goal("g"), []),
    ],
)
def test_controls_have_the_goals_degrees_of_freedom(goal, expected):
    assert controls_of(goal) == expected


def test_a_goal_cannot_leave_its_degrees_of_freedom_and_limits():
    home = np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.0, 0.0, 0.0])
    goal = Goal("g", ("x",), ("z",), low=(-1, -1, -1), high=(1, 1, 1))
    tilt = np.array([np.cos(0.4), np.sin(0.4) * 0.6, 0.0, np.sin(0.4) * 0.8])
    position, quaternion = restricted(goal, np.array([5.0, 5.0, 5.0]), tilt, home)
    np.testing.assert_allclose(position, [1.0, 0.2, 0.3])
    assert quaternion[1:3].tolist() == [0.0, 0.0]
    assert np.linalg.norm(quaternion) == pytest.approx(1.0)
    position, _ = restricted(goal, np.array([np.nan, 0, 0]), tilt, home)
    np.testing.assert_allclose(position, home[0])
    _, quaternion = restricted(Goal("g"), home[0], tilt, home)
    np.testing.assert_allclose(quaternion, home[1])
    _, quaternion = restricted(Goal("g", (), ("x", "y", "z")), home[0], tilt, home)
    np.testing.assert_allclose(quaternion, tilt)


def test_a_goal_turns_about_the_worlds_axis_from_where_it_is():
    # The home pose is tilted; turning about the world's z keeps the tilt.
    half = np.pi / 4
    home_quat = np.array([np.cos(half / 2), np.sin(half / 2), 0, 0])
    turn = np.array([np.cos(0.5), 0, 0, np.sin(0.5)])
    wished = np.empty(4)
    mujoco.mju_mulQuat(wished, turn, home_quat)
    _, quaternion = restricted(Goal("g", (), ("z",)), np.zeros(3), wished, (np.zeros(3), home_quat))
    assert abs(quaternion @ wished) == pytest.approx(1.0)


def test_dragging_the_handle_moves_the_goal_within_limits(server, events, monkeypatch):
    connected(server, monkeypatch, 1)
    gizmo = GoalGizmo(server, Slider(), "/g", lambda p, q: events.append((p, q)))
    quaternion = np.array([1.0, 0, 0, 0])
    gizmo.drag(1, "start", np.array([0.5, 0, 1]), quaternion)
    assert events == []
    gizmo.drag(1, "update", np.array([0.7, 0.4, 1]), quaternion)
    np.testing.assert_allclose(events[-1][0], [0.7, 0.0, 1.0])
    gizmo.drag(1, "end", np.array([3.0, 0, 1]), quaternion)
    np.testing.assert_allclose(events[-1][0], [1.0, 0.0, 1.0])
    node = server.scene._handle_from_node_name["/g/0"]
    np.testing.assert_allclose(node.position, [1.0, 0.0, 1.0])


def test_the_session_does_not_fight_a_drag(server, monkeypatch):
    connected(server, monkeypatch, 1)
    clock = [0.0]
    gizmo = GoalGizmo(server, Slider(), "/g", None, clock=lambda: clock[0])
    node = server.scene._handle_from_node_name["/g/0"]
    old, identity = np.array([[0.5, 0.0, 1.0]]), np.array([[1.0, 0, 0, 0]])
    gizmo.drag(1, "start", old[0], identity[0])
    gizmo.drag(1, "update", np.array([0.8, 0, 1]), identity[0])
    gizmo.update(np.array([[-0.9, 0.0, 1.0]]), identity)
    np.testing.assert_allclose(node.position, old[0])  # the dragger's own pose is not overwritten
    gizmo.drag(2, "update", np.array([-0.8, 0, 1]), identity[0])  # a second browser must wait
    gizmo.drag(1, "end", np.array([0.8, 0, 1]), identity[0])
    gizmo.update(old, identity)  # a snapshot from before the drag
    np.testing.assert_allclose(node.position, [0.8, 0, 1])
    gizmo.update(np.array([[0.8, 0.0, 1.0]]), identity)  # taken up
    gizmo.update(np.array([[-0.3, 0.0, 1.0]]), identity)  # moved by someone else
    np.testing.assert_allclose(node.position, [-0.3, 0, 1])


def test_a_goal_that_the_session_refused_comes_back(server, monkeypatch):
    connected(server, monkeypatch, 1)
    clock = [0.0]
    gizmo = GoalGizmo(server, Slider(), "/g", None, clock=lambda: clock[0])
    node = server.scene._handle_from_node_name["/g/0"]
    identity = np.array([[1.0, 0, 0, 0]])
    gizmo.drag(1, "start", np.array([0.5, 0, 1]), identity[0])
    gizmo.drag(1, "end", np.array([0.8, 0, 1]), identity[0])
    clock[0] = 10.0
    gizmo.update(np.array([[0.5, 0.0, 1.0]]), identity)
    np.testing.assert_allclose(node.position, [0.5, 0, 1])


def test_a_browser_that_left_does_not_hold_the_goal(server, monkeypatch):
    connected(server, monkeypatch)
    gizmo = GoalGizmo(server, Slider(), "/g", None)
    gizmo.drag(5, "start", np.array([0.5, 0, 1]), np.array([1.0, 0, 0, 0]))
    gizmo.update(np.array([[0.1, 0.0, 1.0]]), np.array([[1.0, 0, 0, 0]]))
    node = server.scene._handle_from_node_name["/g/0"]
    np.testing.assert_allclose(node.position, [0.1, 0, 1])


def test_a_goal_that_is_no_mocap_body_is_named(server):
    class Wrong(Slider):
        name = "wrong"
        goal = Goal("cart", ("x",))

    with pytest.raises(ValueError, match="mocap"):
        GoalGizmo(server, Wrong(), "/wrong")


def test_a_task_without_goal_has_no_handle(server):
    class Free(Slider):
        goal = None

    gizmo = GoalGizmo(server, Free(), "/free")
    gizmo.update(np.zeros((0, 3)), np.zeros((0, 4)))
    assert not gizmo.visible
    assert not any(name.startswith("/free") for name in node_names(server))


# --- Pushes --------------------------------------------------------------------------------------


def test_spring_meets_the_limit_at_its_reach():
    limit = 40.0
    far = spring_force(np.zeros(3), np.array([30.0, 40.0, 0.0]), limit, 0.5)
    np.testing.assert_allclose(far, limit * np.array([0.6, 0.8, 0.0]))
    near = spring_force(np.zeros(3), np.array([0.1, 0.0, 0.0]), limit, 0.5)
    np.testing.assert_allclose(near, [limit / 5, 0, 0])
    assert spring_force(np.zeros(3), np.array([np.nan, 0, 0]), limit, 0.5).tolist() == [0, 0, 0]


def test_push_asks_for_no_more_than_the_session_allows(server, events, monkeypatch):
    connected(server, monkeypatch, 1)
    task = Slider()
    tool = PushTool(server, World(server, task.model, "/w"), lambda *push: events.append(push),
                    lambda: None)  # fmt: skip
    cart = task.model.body("cart").id
    tool.drag(1, cart, "start", (0, 0, 1), (99, 0, 1))
    tool.refresh()
    assert np.linalg.norm(events[-1][2]) == pytest.approx(push_limit(task.model))


@pytest.mark.parametrize("how", ["end", "remove", "leave"])
def test_release_while_a_push_is_on_its_way_comes_after_it(server, events, monkeypatch, how):
    """The page's release comes on another thread in the very moment the force is sent."""
    clients = {1: None}
    monkeypatch.setattr(server, "get_clients", lambda: clients)
    task = Slider()
    cart = task.model.body("cart").id
    others = []

    def release():
        if how == "end":
            tool.drag(1, cart, "end", (0, 0, 1), (1, 0, 1))
        elif how == "remove":
            tool.remove()
        else:
            clients.clear()
            tool.refresh()

    def push(*_):
        others.append(threading.Thread(target=release))
        others[0].start()
        others[0].join(0.2)  # Without a lock the release gets through here.
        events.append("push")

    tool = PushTool(server, World(server, task.model, "/w"), push, lambda: events.append("release"))
    tool.drag(1, cart, "start", (0, 0, 1), (1, 0, 1))
    tool.refresh()
    others[0].join(5.0)
    assert events == ["push", "release"]
    assert not tool.active


def test_push_pulls_like_a_spring_as_the_body_follows(server, events, monkeypatch):
    connected(server, monkeypatch, 1)
    task = Slider()
    world = World(server, task.model, "/w")
    tool = PushTool(
        server, world, lambda *push: events.append(push), lambda: events.append("release")
    )
    cart = task.model.body("cart").id
    tool.drag(1, cart, "start", (0.2, 0, 1), (0.2, 0, 1))
    tool.drag(1, cart, "update", (0.2, 0, 1), (0.5, 0, 1))
    tool.drag(2, cart, "update", (0.2, 0, 1), (-9, 0, 1))  # a second browser does not take over
    tool.refresh()
    body, point, force = events[-1]
    assert body == cart
    np.testing.assert_allclose(point, [0.2, 0, 1])
    assert force[0] > 0 and force[1:].tolist() == [0, 0]
    world.set_state(np.array([0.15]))
    tool.refresh()
    np.testing.assert_allclose(events[-1][1], [0.35, 0, 1])
    assert events[-1][2][0] == pytest.approx(force[0] / 2)
    count = len(events)
    tool.refresh()
    assert len(events) == count  # nothing has changed
    tool.drag(1, cart, "end", (0.2, 0, 1), (0.5, 0, 1))
    assert events[-1] == "release" and not tool.active
    tool.refresh()
    assert len(events) == count + 1


def test_push_ends_when_its_browser_leaves(server, events, monkeypatch):
    connected(server, monkeypatch)
    world = World(server, Slider().model, "/w")
    tool = PushTool(server, world, lambda *push: None, lambda: events.append("release"))
    tool.drag(4, 1, "start", (0, 0, 1), (0, 0, 2))
    tool.refresh()
    assert events == ["release"] and not tool.active


def test_only_bodies_with_degrees_of_freedom_can_be_pushed(server):
    model = all_geoms()
    world = World(server, model, "/w")
    PushTool(server, world, lambda *push: None, lambda: None)
    for body, handle in world.handles.items():
        assert bool(handle._impl.drag_cb) == (model.body_mocapid[body] < 0)


def test_push_arrow_shows_the_force_and_goes_away(server):
    world = World(server, Slider().model, "/w")
    tool = PushTool(server, world, lambda *push: None, lambda: None)
    tool.draw(np.array([[0.1, 0, 1], [20.0, 0, 0]]))
    arrow = server.scene._handle_from_node_name["/plan/push"]
    np.testing.assert_allclose(arrow.points[0, 0], [0.1, 0, 1])
    long = arrow.points[0, 1, 0] - 0.1
    tool.draw(np.array([[0.1, 0, 1], [10.0, 0, 0]]))
    assert arrow.points[0, 1, 0] - 0.1 == pytest.approx(long / 2, rel=1e-4)
    tool.draw(None)
    assert not arrow.visible


# --- The whole view ------------------------------------------------------------------------------


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
