"""The goal's handle where a body that can be pushed lies on it."""

from __future__ import annotations

import numpy as np
import pytest

from gpc_studio.app.session import Session
from gpc_studio.app.web.frontend import WebFrontend
from gpc_studio.app.web.scene.clearance import handle_offset


@pytest.fixture
def session():
    """Push-T, paused, with the goal under the T."""
    with Session("push_t", "cem", options={"samples": 16}, paused=True) as session:
        session.wait_ready(120.0)
        x, y, yaw = session.snapshot.state.qpos[2:5]
        session.set_goal((x + 0.01, y, 0.0), (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)))
        yield session


def goal_of(session):
    return np.array(session.snapshot.state.mocap_pos[0])


def test_goal_under_the_t_is_dragged_by_its_handle_and_the_plan_follows(session, pages):
    task = session.snapshot.task
    block = np.array(session.snapshot.state.qpos[2:5])
    with WebFrontend(session, port=0) as frontend:
        page = pages(frontend.url)
        page.wait(lambda: page.node("/goal/0"), "the handle")
        page.wait(lambda: np.linalg.norm(goal_of(session)[:2] - block[:2]) < 0.02, "the goal")
        page.page.wait_for_timeout(500)
        start = goal_of(session)
        # On the shaft of the arrow along the T's y axis, where it crosses the middle of the bar.
        along = np.array([-np.sin(block[2]), np.cos(block[2]), 0.0])
        lift = handle_offset(task.model, task.goal, np.zeros(3), task.camera, 0.2)
        grip = start + lift + 0.05 * along
        old = session.snapshot.plan
        page.drag(page.pixel(grip), page.pixel(grip + 0.15 * along))
        page.wait(lambda: np.linalg.norm(goal_of(session) - start) > 0.1, "the goal to move")
        page.page.wait_for_timeout(500)
        np.testing.assert_allclose(goal_of(session), start + 0.15 * along, atol=0.02)
        assert session.snapshot.push is None

        # The plan made now weighs the way to where the goal is now.
        session.step()
        page.wait(lambda: session.snapshot.plan is not old, "the next plan", 60.0)
        term = list(task.weights).index("position")
        plan = session.snapshot.plan
        assert plan.cost_terms[0, term] > 3.0 * old.cost_terms[0, term]
        assert page.errors == []
