"""Costs of trajectories."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from gpc_studio.controllers.planner import Planner
from gpc_studio.controllers.registry import default_options
from tests.controllers.arm import Arm, states


class Broken(Arm):
    """An arm one of whose terms is never a number."""

    def cost_terms(self, state, control):
        return super().cost_terms(state, control) | {"effort": jnp.nan * control[0]}


@pytest.mark.parametrize("weight, alive", [(0.3, False), (0.0, True)])
def test_a_broken_term_is_gone_when_its_weight_is_zero(weight, alive):
    task = Broken()
    options = dataclasses.replace(
        default_options(task, "cem"), samples=12, horizon=0.2, engine="native"
    )
    planner = Planner(task, "cem", options)
    state = states(task, 1, seed=4)
    weights = task.default_weights() | {"effort": weight}
    _, plan, _ = planner.step(planner.start(state, [0]), state, options, weights)
    planner.close()
    assert np.isfinite(plan.cost).all() == alive
    assert np.isfinite(plan.cost_terms).all() == alive
    if alive:
        assert not plan.cost_terms[..., list(task.weights).index("effort")].any()
