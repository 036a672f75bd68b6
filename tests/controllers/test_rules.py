"""Update rules, by their properties."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpc_studio.controllers.options import encoded
from gpc_studio.controllers.registry import controller, controller_names
from gpc_studio.controllers.rules.base import Candidates, Distribution
from gpc_studio.controllers.rules.cem import Progress

NAMES = controller_names()
COSTS = arrays(
    np.float32,
    12,
    elements=st.one_of(st.floats(0, 50, width=32, allow_subnormal=False), st.just(np.inf)),
)
SCALE = np.array([1.0, 0.75], np.float32)


def updater(name):
    rule = controller(name).rule

    @jax.jit
    def update(distribution, knots, cost, options, iteration):
        candidates = Candidates(knots, jnp.zeros(len(cost), int), None)
        return rule.update(
            distribution, candidates, cost, scale=SCALE, options=options, iteration=iteration
        )

    return update


UPDATE = {name: updater(name) for name in NAMES}


def example(name, seed=0, **changes):
    """Options, a distribution and knots."""
    spec = controller(name)
    options = encoded(dataclasses.replace(spec.options_type(), **changes))
    knots = np.random.default_rng(seed).normal(size=(12, 5, 2)).astype(np.float32)
    distribution = spec.rule.start(jnp.zeros((5, 2)), SCALE, options)
    return options, distribution, knots


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=60)
@given(cost=COSTS)
def test_weights_sum_to_one_and_avoid_divergence(name, cost):
    options, distribution, knots = example(name)
    new, weight = UPDATE[name](distribution, knots, cost, options, 0.0)
    assert np.isclose(weight.sum(), 1.0, atol=1e-5)
    assert (np.asarray(weight) >= 0).all()
    finite = np.isfinite(cost)
    assert (np.asarray(weight)[~finite] == 0).all() or not finite.any()
    assert np.isfinite(new.mean).all() and np.isfinite(new.std).all()
    if finite.any():  # the cheapest never weighs less than another
        assert weight[np.argmin(cost)] >= weight.max() - 1e-7
    else:  # nothing was learned: the previous plan, sample 0, stays
        np.testing.assert_allclose(new.mean, knots[0], atol=1e-6)


@pytest.mark.parametrize("name", ["mppi", "tsallis_mppi", "dial_mpc", "predictive_sampling", "cem"])
@settings(deadline=None, max_examples=40)
@given(
    cost=arrays(np.int32, 12, elements=st.integers(0, 64)),
    shift=st.integers(-512, 512),
)
def test_a_constant_cost_changes_no_weight(name, cost, shift):
    options, distribution, knots = example(name)
    cost = (cost / 16).astype(np.float32)  # exact in binary, also after the shift
    _, weight = UPDATE[name](distribution, knots, cost, options, 0.0)
    _, moved = UPDATE[name](distribution, knots, cost + np.float32(shift), options, 0.0)
    np.testing.assert_array_equal(weight, moved)


@settings(deadline=None, max_examples=40)
@given(
    cost=arrays(np.float32, 12, elements=st.floats(0, 20, width=32)),
    temperature=st.floats(0.01, 5.0),
)
def test_mppi_is_its_formula(cost, temperature):
    options, distribution, knots = example("mppi", temperature=temperature)
    new, weight = UPDATE["mppi"](distribution, knots, cost, options, 0.0)
    expected = np.exp(-(cost.astype(float) - cost.min()) / np.float32(temperature))
    expected /= expected.sum()
    np.testing.assert_allclose(weight, expected, atol=1e-4)
    np.testing.assert_allclose(new.mean, np.einsum("n,nku->ku", expected, knots), atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(cost=arrays(np.float32, 12, elements=st.floats(0, 20, width=32)))
def test_tsallis_tends_to_mppi(cost):
    mppi, distribution, knots = example("mppi", temperature=1.0)
    _, expected = UPDATE["mppi"](distribution, knots, cost, mppi, 0.0)
    for r, tolerance in ((1.0, 1e-6), (1.001, 2e-3), (1.01, 2e-2)):
        options, distribution, knots = example("tsallis_mppi", temperature=1.0, r=r)
        _, weight = UPDATE["tsallis_mppi"](distribution, knots, cost, options, 0.0)
        np.testing.assert_allclose(weight, expected, atol=tolerance)


@settings(deadline=None, max_examples=40)
@given(
    cost=arrays(np.float32, 12, elements=st.floats(0, 20, width=32)),
    r=st.floats(1.1, 4.0),
)
def test_tsallis_is_its_formula(cost, r):
    options, distribution, knots = example("tsallis_mppi", temperature=2.0, r=r)
    _, weight = UPDATE["tsallis_mppi"](distribution, knots, cost, options, 0.0)
    q, x = r - 1.0, (cost.astype(float) - cost.min()) / 2.0
    expected = np.maximum(1.0 - q * x, 0.0) ** (1.0 / q)
    np.testing.assert_allclose(weight, expected / expected.sum(), atol=1e-3)


def test_predictive_sampling_takes_the_cheapest():
    options, distribution, knots = example("predictive_sampling")
    cost = np.arange(12, dtype=np.float32)[::-1].copy()
    new, weight = UPDATE["predictive_sampling"](distribution, knots, cost, options, 0.0)
    assert weight[11] == 1.0
    np.testing.assert_array_equal(new.mean, knots[11])


def test_cem_fits_the_elites():
    changes = dict(elites=3, noise_min=0.0, noise_max=2.0, patience=0)
    options, distribution, knots = example("cem", **changes)
    cost = np.random.default_rng(3).permutation(12).astype(np.float32)
    new, weight = UPDATE["cem"](distribution, knots, cost, options, 0.0)
    elites = knots[np.argsort(cost)[:3]]
    np.testing.assert_allclose(np.sort(weight)[-3:], 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(new.mean, elites.mean(0), atol=1e-6)
    np.testing.assert_allclose(new.std, elites.std(0), atol=1e-6)

    options, _, _ = example("cem", centre="best", **changes)
    new, _ = UPDATE["cem"](distribution, knots, cost, options, 0.0)
    np.testing.assert_array_equal(new.mean, knots[cost.argmin()])

    options, _, _ = example("cem", smoothing=0.5, **changes)
    new, _ = UPDATE["cem"](distribution, knots, cost, options, 0.0)
    expected = 0.5 * np.asarray(distribution.std) + 0.5 * elites.std(0)
    np.testing.assert_allclose(new.std, expected, atol=1e-6)


def test_cem_floor_cap_and_ramp():
    options, distribution, knots = example(
        "cem", noise_min=0.1, noise_max=0.4, noise=0.2, ramp=3.0, elites=2
    )
    ramp = np.linspace(1, 3, 5)[:, None]
    np.testing.assert_allclose(distribution.std, np.minimum(0.2 * ramp, 0.4) * SCALE, rtol=1e-6)
    same = np.tile(knots[:1], (12, 1, 1))
    new, _ = UPDATE["cem"](distribution, same, np.arange(12, dtype=np.float32), options, 0.0)
    np.testing.assert_allclose(new.std, 0.1 * ramp * SCALE, rtol=1e-6)
    apart = np.where(np.arange(12)[:, None, None] % 2, 9.0, -9.0) * np.ones((12, 5, 2), np.float32)
    new, _ = UPDATE["cem"](
        distribution, apart.astype(np.float32), np.arange(12, dtype=np.float32), options, 0.0
    )
    np.testing.assert_allclose(new.std, np.tile(0.4 * SCALE, (5, 1)), rtol=1e-6)


def test_cem_starts_afresh_when_it_stalls():
    options, distribution, knots = example("cem", patience=3, progress=0.05, noise=0.5)
    knots = (0.01 * knots).astype(np.float32)
    fresh = np.asarray(distribution.std)
    cost = np.linspace(1, 2, 12).astype(np.float32)
    stalled = []
    for scale in (1.0, 0.99, 0.98, 0.97, 0.96, 0.5, 0.49):
        distribution, _ = UPDATE["cem"](distribution, knots, scale * cost, options, 0.0)
        stalled.append(bool((np.asarray(distribution.std) == fresh).all()))
    # 0.98 is a fall of 2 %; three plans after the first the patience is over. 0.5 is progress.
    assert stalled == [False, False, False, True, False, False, False]
    assert isinstance(distribution.extra, Progress)
    off, distribution, _ = example("cem", patience=0, noise=0.5)
    for _ in range(30):
        distribution, _ = UPDATE["cem"](distribution, knots, cost, off, 0.0)
    assert (np.asarray(distribution.std) < fresh).all()


@pytest.mark.parametrize("end", [3.0, 0.9])
def test_cem_starts_afresh_ever_later_while_that_does_not_help(end):
    options, distribution, knots = example("cem", patience=3, progress=0.05, noise=0.5)
    knots = (0.01 * knots).astype(np.float32)
    fresh = np.asarray(distribution.std)
    cost = np.linspace(1, 2, 12).astype(np.float32)

    def plans_between(scale, count):
        nonlocal distribution
        found, plans = [], 0
        while len(found) < count:
            distribution, _ = UPDATE["cem"](distribution, knots, scale * cost, options, 0.0)
            plans += 1
            if (np.asarray(distribution.std) == fresh).all():
                found, plans = [*found, plans], 0
        return found

    assert plans_between(1.0, 6) == [4, 6, 12, 24, 24, 24]
    # A changed problem, or a better plan: the first plan of it counts as progress if it is better.
    assert plans_between(end, 3) == ([3, 6, 12] if end > 1 else [4, 6, 12])


def test_cem_keeps_everything_when_all_diverge():
    options, distribution, knots = example("cem")
    new, weight = UPDATE["cem"](distribution, knots, np.full(12, np.inf, np.float32), options, 0.0)
    np.testing.assert_array_equal(new.mean, knots[0])
    np.testing.assert_array_equal(new.std, distribution.std)
    assert weight[0] == 1.0


def test_dial_anneals_over_iterations_and_grows_along_the_horizon():
    rule = controller("dial_mpc").rule
    options, distribution, _ = example(
        "dial_mpc", noise=0.4, iterations=4, iteration_decay=0.5, horizon_decay=2.0
    )
    for i in range(4):
        std = rule.spread(distribution, SCALE, options, jnp.asarray(float(i)))
        k = np.arange(5)[:, None]
        expected = 0.4 * np.exp(-i / (0.5 * 4) - (4 - k) / (2.0 * 5)) * SCALE
        np.testing.assert_allclose(std, expected, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_distribution_keeps_its_structure(name):
    options, distribution, knots = example(name)
    assert isinstance(distribution, Distribution)
    new, _ = UPDATE[name](distribution, knots, np.ones(12, np.float32), options, 0.0)
    assert jax.tree.structure(new) == jax.tree.structure(distribution)
    shapes = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), new, distribution)
    assert all(jax.tree.leaves(shapes))
