"""Splines: SciPy inside the knots, the end knots held outside, warm starts that do not drift."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d, make_interp_spline

from gpc_studio.controllers import splines
from gpc_studio.controllers.options import SPLINES

KINDS = st.sampled_from(SPLINES)
COUNTS = st.integers(2, 32)
FEW_COUNTS = st.sampled_from([2, 3, 4, 5, 8, 32])  # each is compiled once
SEEDS = st.integers(0, 2**32 - 1)


evaluate = jax.jit(splines.evaluate, static_argnums=0)


def scipy_spline(kind, times, knots):
    if kind == "zero":
        return interp1d(times, knots, kind="previous", axis=0)
    degree = 1 if kind == "linear" else min(3, len(times) - 1)
    return make_interp_spline(times, knots, k=degree, axis=0)


@settings(deadline=None, max_examples=150)
@given(KINDS, COUNTS, st.floats(0.1, 5.0), st.sampled_from([0.002, 0.01, 0.02]), SEEDS)
def test_controls_are_those_of_scipy(kind, count, horizon, dt, seed):
    knots = np.random.default_rng(seed).uniform(-1, 1, (count, 2))
    basis = splines.basis(kind, count, horizon, dt)
    times = np.arange(len(basis)) * dt
    inside = times <= horizon
    place = times / horizon * (count - 1)
    if kind == "zero":  # SciPy has no tolerance for a time that rounding put below its knot
        inside &= np.abs(place - np.round(place)) > 1e-3
    expected = scipy_spline(kind, splines.knot_times(horizon, count), knots)(times[inside])
    np.testing.assert_allclose((basis @ knots)[inside], expected, atol=1e-9)
    single = basis.astype(np.float32) @ knots.astype(np.float32)
    np.testing.assert_allclose(single[inside], expected, atol=1e-6)


@settings(deadline=None, max_examples=100)
@given(KINDS, FEW_COUNTS, st.floats(0.1, 5.0), SEEDS)
def test_traced_times_agree_with_scipy(kind, count, horizon, seed):
    rng = np.random.default_rng(seed)
    knots = rng.uniform(-1, 1, (count, 3))
    grid = splines.knot_times(horizon, count)
    times = rng.uniform(0, horizon, 20)
    place = times / horizon * (count - 1)
    times[np.abs(place - np.round(place)) < 1e-3] = 0.0  # a hold jumps there
    expected = scipy_spline(kind, grid, knots)(times)
    got = evaluate(kind, jnp.asarray(knots, jnp.float32), horizon, jnp.asarray(times))
    np.testing.assert_allclose(got, expected, atol=2e-5)


@settings(deadline=None, max_examples=60)
@given(KINDS, FEW_COUNTS, st.floats(0.1, 5.0), SEEDS)
def test_end_knots_are_held_outside(kind, count, horizon, seed):
    rng = np.random.default_rng(seed)
    knots = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
    beyond = horizon + rng.uniform(0, 10, 5)
    before = -rng.uniform(0, 10, 5)
    after = evaluate(kind, knots, horizon, jnp.asarray(beyond))
    np.testing.assert_allclose(after, np.tile(knots[-1], (5, 1)), atol=1e-6)
    first = evaluate(kind, knots, horizon, jnp.asarray(before))
    np.testing.assert_allclose(first, np.tile(knots[0], (5, 1)), atol=1e-6)


@pytest.mark.parametrize("kind", SPLINES)
@pytest.mark.parametrize("count", [2, 3, 4, 12])
def test_repeated_shifts_do_not_drift(kind, count):
    knots = np.random.default_rng(0).uniform(-1, 1, (count, 2)).astype(np.float32)
    shifted = jnp.asarray(knots)
    for _ in range(200):  # four times the horizon
        shifted = splines.shift(kind, shifted, 1.0, jnp.asarray(0.02))
        assert np.abs(shifted).max() < 2.0  # a cubic overshoots a little between its knots
    np.testing.assert_allclose(shifted[-1], knots[-1], atol=1e-5)
    # Everything has moved past the end of the plan, so that its last knot is all that is left.
    # A zero-order hold moved by less than a knot interval stays where it is.
    if kind != "zero":
        np.testing.assert_allclose(shifted, np.tile(knots[-1], (count, 1)), atol=0.15)


@pytest.mark.parametrize("kind", SPLINES)
def test_a_shift_by_knot_intervals_moves_the_knots(kind):
    knots = np.random.default_rng(1).uniform(-1, 1, (6, 1)).astype(np.float32)
    moved = splines.shift(kind, jnp.asarray(knots), 1.0, jnp.asarray(0.4))
    np.testing.assert_allclose(moved, knots[[2, 3, 4, 5, 5, 5]], atol=1e-5)
    still = splines.shift(kind, jnp.asarray(knots), 1.0, jnp.asarray(0.0))
    np.testing.assert_array_equal(still, knots)


def test_zero_order_hold_changes_exactly_on_the_knots():
    basis = splines.basis("zero", 4, 0.3, 0.1)  # 0.1 * 3 is a little more than 0.3
    np.testing.assert_array_equal(basis, np.eye(4)[:3])
    assert splines.basis("zero", 11, 1.0, 0.01).argmax(axis=1).tolist() == [
        k // 10 for k in range(100)
    ]
