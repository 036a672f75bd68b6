"""The goal's handle."""

import mujoco
import numpy as np
import pytest
from scene_fixtures import Slider, connected, node_names

from gpc_studio.app.web.scene.clearance import handle_offset
from gpc_studio.app.web.scene.gizmo import Control, GoalGizmo, controls_of, restricted
from gpc_studio.scenes import load_task
from gpc_studio.scenes.task import Camera, Goal


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
    np.testing.assert_allclose(node.position - gizmo.lift, [1.0, 0.0, 1.0])


def test_the_session_does_not_fight_a_drag(server, monkeypatch):
    connected(server, monkeypatch, 1)
    clock = [0.0]
    gizmo = GoalGizmo(server, Slider(), "/g", None, clock=lambda: clock[0])
    node = server.scene._handle_from_node_name["/g/0"]
    old, identity = np.array([[0.5, 0.0, 1.0]]), np.array([[1.0, 0, 0, 0]])
    gizmo.drag(1, "start", old[0], identity[0])
    gizmo.drag(1, "update", np.array([0.8, 0, 1]), identity[0])
    gizmo.update(np.array([[-0.9, 0.0, 1.0]]), identity)
    np.testing.assert_allclose(
        node.position - gizmo.lift, old[0]
    )  # the dragger's own pose is not overwritten
    gizmo.drag(2, "update", np.array([-0.8, 0, 1]), identity[0])  # a second browser must wait
    gizmo.drag(1, "end", np.array([0.8, 0, 1]), identity[0])
    gizmo.update(old, identity)  # a snapshot from before the drag
    np.testing.assert_allclose(node.position - gizmo.lift, [0.8, 0, 1])
    gizmo.update(np.array([[0.8, 0.0, 1.0]]), identity)  # taken up
    gizmo.update(np.array([[-0.3, 0.0, 1.0]]), identity)  # moved by someone else
    np.testing.assert_allclose(node.position - gizmo.lift, [-0.3, 0, 1])


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
    np.testing.assert_allclose(node.position - gizmo.lift, [0.5, 0, 1])


def test_a_browser_that_left_does_not_hold_the_goal(server, monkeypatch):
    connected(server, monkeypatch)
    gizmo = GoalGizmo(server, Slider(), "/g", None)
    gizmo.drag(5, "start", np.array([0.5, 0, 1]), np.array([1.0, 0, 0, 0]))
    gizmo.update(np.array([[0.1, 0.0, 1.0]]), np.array([[1.0, 0, 0, 0]]))
    node = server.scene._handle_from_node_name["/g/0"]
    np.testing.assert_allclose(node.position - gizmo.lift, [0.1, 0, 1])


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


def test_the_handle_stands_in_front_of_the_body_that_would_take_its_presses(server):
    gizmo = GoalGizmo(server, Slider(), "/g")
    node = server.scene._handle_from_node_name["/g/0"]
    # The cart reaches 0.1 m towards the camera, which looks from y < 0 and from above.
    assert node.position[1] == pytest.approx(-0.12)
    assert node.position[[0, 2]].tolist() == [0.5, 1.0]
    np.testing.assert_allclose(gizmo.lift, node.position - [0.5, 0.0, 1.0])


@pytest.mark.parametrize("goal, camera, moved", [
    (Goal("goal", ("x",)), Camera((0, 0, 9), (0, 0, 1)), [0, 0, 0.12]),
    (Goal("goal", ("x",)), Camera((0, 9, 1), (0, 0, 1)), [0, 0.12, 0]),
    (Goal("goal", ("x", "y"), ("z",)), Camera((0, -9, 2), (0, 0, 1)), [0, 0, 0.12]),
    (Goal("goal", ("x",), ("y", "z")), Camera((0, -9, 2), (0, 0, 1)), [0, 0, 0]),
    (Goal("goal", ("x", "y", "z")), Camera((0, -9, 2), (0, 0, 1)), [0, 0, 0]),
])  # fmt: skip
def test_the_handle_is_moved_only_where_the_goal_cannot_go(goal, camera, moved):
    model = Slider().model
    home = np.array([0.5, 0.0, 1.0])
    np.testing.assert_allclose(handle_offset(model, goal, home, camera, 0.4), moved, atol=1e-9)
    # A body that is small beside the handle cannot hide it.
    np.testing.assert_array_equal(handle_offset(model, goal, home, camera, 4.0), np.zeros(3))


def test_the_thin_pusher_does_not_lift_the_handle_of_push_t():
    task = load_task("push_t")
    lift = handle_offset(task.model, task.goal, np.zeros(3), task.camera, 0.2)
    assert 0.03 < lift[2] < 0.1
