from __future__ import annotations

import pytest
from world import CartTask, Factory, session_threads

from gpc_studio.app.session import Session


@pytest.fixture
def factory():
    return Factory()


@pytest.fixture
def new_session(factory):
    """Makes sessions of the small world; afterwards all threads and planners must be gone."""
    made = []

    def make(task=None, controller="mppi", **settings):
        settings.setdefault("make_planner", factory)
        session = Session(task or CartTask(), controller, **settings)
        made.append(session)
        return session

    yield make
    for session in made:
        session.stop()
    assert session_threads() == []
    assert factory.open == 0, "planners were left open"
