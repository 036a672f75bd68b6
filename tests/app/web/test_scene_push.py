"""Pushing bodies with the mouse."""

import threading

import numpy as np
import pytest
from scene_fixtures import Slider, all_geoms, connected

from gpc_studio.app.session import push_limit
from gpc_studio.app.web.overlays.push import PushTool, spring_force
from gpc_studio.app.web.scene.world import World


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
