"""The panel in docs/add_a_panel.md, as a reader would copy it."""

import re
from pathlib import Path

import numpy as np
from fake_session import FakeSession
from test_frontend import inputs, press, wait_until

from gpc_studio.app.web import html
from gpc_studio.app.web.frontend import WebFrontend
from gpc_studio.app.web.page import TABS

DOC = Path(__file__).parents[3] / "docs" / "add_a_panel.md"


def test_the_panel_shows_the_gain_and_starts_over():
    (code,) = re.findall(r"^```python\n(.*?)^```$", DOC.read_text(), re.M | re.S)
    names = {}
    exec(compile(code, str(DOC), "exec"), names)
    session = FakeSession()
    tabs = {**TABS, "Gain": names["GainPanel"]}
    with WebFrontend(session, port=0, tabs=tabs) as frontend:
        assert "Start over" in inputs(frontend)
        session.advance()
        cost = session.snapshot.plan.cost
        gain = html.number(float(cost[0] - np.min(cost)))
        panel = next(p for p in frontend._page._panels if isinstance(p, names["GainPanel"]))
        wait_until(lambda: gain in panel._table.content)
        press(frontend, session, "Start over")
        assert ("reset", None) in session.commands
