"""Risk metrics against direct implementations, and in their limits."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog

from gpc_studio.controllers import risk
from gpc_studio.controllers.options import RISKS, code

COSTS = st.integers(2, 16).flatmap(
    lambda d: arrays(np.float32, (d, 3), elements=st.floats(0, 100, width=32))
)
combine = jax.jit(risk.combine)


def combined(cost, metric, level):
    return np.asarray(combine(cost, code(RISKS, metric), np.float32(level)))


def direct_cvar(cost, level):
    """`inf_z z + E[max(J - z, 0)] / level`, solved as the linear programme that it is."""
    count = len(cost)
    objective = np.r_[1.0, np.full(count, 1 / (level * count))]
    slack = np.c_[-np.ones(count), -np.eye(count)]
    bounds = [(None, None), *[(0, None)] * count]
    return linprog(objective, A_ub=slack, b_ub=-cost, bounds=bounds).fun


@settings(deadline=None, max_examples=40)
@given(COSTS, st.floats(0.05, 1.0))
def test_cvar_solves_its_definition(cost, level):
    expected = [direct_cvar(column.astype(float), level) for column in cost.T]
    np.testing.assert_allclose(combined(cost, "cvar", level), expected, rtol=1e-3, atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(COSTS)
def test_limits(cost):
    close = dict(rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(combined(cost, "cvar", 1.0), cost.mean(0), **close)
    np.testing.assert_allclose(combined(cost, "cvar", 1e-6), cost.max(0), **close)
    np.testing.assert_allclose(combined(cost, "value_at_risk", 1e-6), cost.max(0), **close)
    np.testing.assert_allclose(combined(cost, "value_at_risk", 1.0), cost.min(0), **close)
    np.testing.assert_allclose(combined(cost, "worst", 0.3), cost.max(0), **close)
    np.testing.assert_allclose(combined(cost, "best", 0.3), cost.min(0), **close)
    np.testing.assert_allclose(combined(cost, "mean", 0.3), cost.mean(0), **close)


@settings(deadline=None, max_examples=60)
@given(COSTS, st.floats(0.01, 1.0))
def test_order_and_direct_forms(cost, level):
    mean, cvar, worst, var = (
        combined(cost, metric, level) for metric in ("mean", "cvar", "worst", "value_at_risk")
    )
    slack = 1e-4 * (1 + worst)
    assert (mean <= cvar + slack).all() and (cvar <= worst + slack).all()
    assert (var <= cvar + slack).all()
    exceeding = (cost > var).mean(0)
    assert (exceeding <= level + 1e-3).all()
    entropic = np.log(np.mean(np.exp(level * (cost - worst).astype(float)), 0)) / level + worst
    np.testing.assert_allclose(combined(cost, "exponential", level), entropic, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("metric", RISKS)
def test_one_domain_changes_nothing(metric):
    cost = np.random.default_rng(0).uniform(0, 1, (1, 5)).astype(np.float32)
    cost[0, 2] = np.inf
    np.testing.assert_array_equal(combined(cost, metric, 0.37), cost[0])


@pytest.mark.parametrize("metric", RISKS)
def test_diverged_domains(metric):
    cost = np.array([[1.0, np.inf], [2.0, np.inf], [np.inf, np.inf], [3.0, np.inf]], np.float32)
    one, every = combined(cost, metric, 0.25)
    assert every == np.inf
    assert one == {"best": 1.0, "value_at_risk": 3.0}.get(metric, np.inf)
