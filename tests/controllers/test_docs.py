"""The code of the documentation runs."""

import re
from pathlib import Path

import numpy as np

from gpc_studio.controllers.planner import Planner
from gpc_studio.controllers.registry import default_options
from gpc_studio.options import describe
from tests.controllers.arm import states

DOCS = Path(__file__).resolve().parents[2] / "docs"


def code_of(page):
    text = (DOCS / page).read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names = {"__name__": page}
    exec(compile(block, page, "exec"), names)
    return names


def test_add_a_rule(arm):
    spec = code_of("add_a_rule.md")["CONTROLLER"]
    options = spec.options_type(samples=8, horizon=0.2)
    assert describe(spec.options_type)["decay"].default == 3.0
    planner = Planner(arm, spec, options)
    state = states(arm, 1)
    _, plan, _ = planner.step(planner.start(state, [0]), state, options, arm.default_weights())
    ranks = plan.cost[0].argsort().argsort()
    expected = np.exp(-ranks / 3.0)
    np.testing.assert_allclose(plan.weight[0], expected / expected.sum(), rtol=1e-5)
    planner.close()


def test_add_a_proposal(arm):
    wide = code_of("add_a_proposal.md")["Wide"]()
    options = default_options(arm, "cem")
    planner = Planner(arm, "cem", options, proposals=[wide])
    state = states(arm, 1)
    _, plan, _ = planner.step(planner.start(state, [0]), state, options, arm.default_weights())
    assert plan.knots.shape == (1, 32, 4, 2)
    drawn = plan.knots[0, 1:9]
    assert drawn.std() > 1.5 * plan.knots[0, 9:].std()
    planner.close()
