from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpc_studio.models import flow_matching
from gpc_studio.models.flow_matching import Batch, cosine_weight
from gpc_studio.models.policy import Normaliser, new_policy
from tests.models.policies import architecture, policy, sample, velocity

loss = jax.jit(flow_matching.loss)


def batch(count=64, seed=0, knots=4, controls=2, observation=3) -> Batch:
    keys = jax.random.split(jax.random.key(seed), 4)
    return Batch(
        knots=jax.random.uniform(keys[0], (count, knots, controls), minval=-1.0),
        observation=jax.random.normal(keys[1], (count, observation)),
        last_observation=jax.random.normal(keys[2], (count, observation)),
        previous=jax.random.uniform(keys[3], (count, knots, controls), minval=-1.0),
    )


@pytest.mark.parametrize("sigma_min", [0.0, 0.1])
def test_the_loss_is_that_of_straight_paths(sigma_min):
    trained, data, key = policy(history=True), batch(16), jax.random.key(5)
    found = loss(trained, data, key, sigma_min=sigma_min)

    # The path's points and their velocities, by differentiation instead of by hand.
    noise_key, time_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, data.knots.shape)
    times = jax.random.uniform(time_key, (16,))

    def path(t, plan, noise):
        return t * plan + (1.0 - (1.0 - sigma_min) * t) * noise

    def error(plan, noise, now, last, time):
        point, direction = jax.jvp(lambda t: path(t, plan, noise), (time,), (1.0,))
        return jnp.sum((velocity(trained, point, now, last, time) - direction) ** 2)

    errors = jax.jit(jax.vmap(error))(
        data.knots, noise, data.observation, data.last_observation, times
    )
    np.testing.assert_allclose(found, np.mean(errors), rtol=1e-4)


def test_paths_start_at_the_noise_and_end_at_the_plan():
    data, key = batch(count=1), jax.random.key(5)
    zero = new_policy(architecture(), Normaliser.identity(3), key)
    noise = jax.random.normal(jax.random.split(key)[0], data.knots.shape)
    expected = jnp.sum((data.knots - noise) ** 2)  # of a network that says nothing
    np.testing.assert_allclose(loss(zero, data, key), expected, rtol=1e-5)


def numpy_weight(knots, previous, noise, gamma):
    update, path = (knots - previous).ravel(), (knots - noise).ravel()
    cosine = update @ path / (np.linalg.norm(update) * np.linalg.norm(path))
    return np.exp(-gamma * (1.0 - cosine))


@given(seed=st.integers(0, 999), gamma=st.floats(0.0, 5.0))
@settings(max_examples=30, deadline=None)
def test_the_cosine_weight_is_that_of_each_sample(seed, gamma):
    rng = np.random.default_rng(seed)
    knots, previous = rng.uniform(-1.0, 1.0, (2, 8, 4, 2))
    noise = rng.normal(size=(8, 4, 2))
    found = cosine_weight(knots, previous, noise, gamma)
    expected = [numpy_weight(*row, gamma) for row in zip(knots, previous, noise, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert (found <= 1.0 + 1e-6).all()
    assert (found >= np.exp(-2.0 * gamma) * (1.0 - 1e-5)).all()


def test_the_cosine_weight_is_not_inert():
    """It would be exp(-gamma) everywhere if the previous plan were read after the update."""
    data = batch()
    noise = jax.random.normal(jax.random.key(9), data.knots.shape)
    found = np.asarray(cosine_weight(data.knots, data.previous, noise, 2.0))
    assert found.std() > 0.1
    assert len(np.unique(found.round(6))) == len(found)
    assert np.abs(found - np.exp(-2.0)).max() > 0.2

    trained, key = policy(), jax.random.key(1)
    weighted = loss(trained, data, key, gamma=2.0)
    assert not np.isclose(weighted, np.exp(-2.0) * loss(trained, data, key), rtol=0.05)
    other = loss(trained, data._replace(previous=data.knots - 0.1), key, gamma=2.0)
    assert not np.isclose(weighted, other, rtol=0.01)
    np.testing.assert_allclose(
        loss(trained, data, key, gamma=0.0),
        loss(trained, data._replace(previous=jnp.zeros_like(data.knots)), key),
    )


def test_noise_behind_the_update_counts_fully_and_noise_before_it_least():
    knots, direction = np.zeros((1, 4, 2)), np.ones((1, 4, 2))
    behind = cosine_weight(knots, knots - direction, knots - 3.0 * direction, 1.5)
    before = cosine_weight(knots, knots - direction, knots + 3.0 * direction, 1.5)
    np.testing.assert_allclose(behind, 1.0, rtol=1e-5)
    np.testing.assert_allclose(before, np.exp(-3.0), rtol=1e-5)


def test_a_plan_that_did_not_move_counts_fully_and_keeps_gradients_finite():
    data = batch()
    still = data._replace(previous=data.knots)
    noise = jax.random.normal(jax.random.key(9), data.knots.shape)
    np.testing.assert_array_equal(cosine_weight(data.knots, data.knots, noise, 2.0), 1.0)
    trained = policy()

    @jax.jit
    @jax.grad
    def gradient(weights):
        return loss(replace(trained, weights=weights), still, jax.random.key(0), gamma=2.0)

    gradients = gradient(trained.weights)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def trained_on(draw, network):
    """A policy fitted to plans `draw(key, observations) -> knots` of observations in [-1, 1]."""
    # A convolution costs many times what a layer does.
    width, layers, steps = {"mlp": (64, 2, 1000), "cnn": (16, 1, 500)}[network]
    shape = architecture(
        network, width=width, layers=layers, knots=2, controls=1, observation=1, time_features=9
    )
    start = new_policy(shape, Normaliser.identity(1), jax.random.key(0))
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def step(carry, key):
        weights, state = carry
        keys = jax.random.split(key, 3)
        seen = jax.random.uniform(keys[0], (256, 1), minval=-1.0)
        plans = draw(keys[1], seen)
        data = Batch(plans, seen, seen, plans)
        value, gradients = jax.value_and_grad(
            lambda weights: loss(replace(start, weights=weights), data, keys[2])
        )(weights)
        updates, state = optimiser.update(gradients, state)
        return (optax.apply_updates(weights, updates), state), value

    keys = jax.random.split(jax.random.key(1), steps)
    first = (start.weights, optimiser.init(start.weights))
    (weights, _), _ = jax.jit(lambda: jax.lax.scan(step, first, keys))()
    return replace(start, weights=weights)


def drawn(trained, seen, count=2000):
    noise = jax.random.normal(jax.random.key(7), (count, 2, 1))
    observation = jnp.array([seen])
    return np.asarray(sample(trained, noise, observation, observation, steps=20))[..., 0]


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_trained_flow_recovers_a_gaussian_that_the_observation_moves(network):
    """Knots N(0.5 y, 0.2) and N(-0.5 y, 0.1)."""
    mean, std = jnp.array([0.5, -0.5]), jnp.array([0.2, 0.1])

    def draw(key, seen):
        noise = jax.random.normal(key, (len(seen), 2))
        return (seen * mean + std * noise)[..., None]

    trained = trained_on(draw, network)
    for seen in (-0.8, 0.0, 0.6):
        found = drawn(trained, seen)
        np.testing.assert_allclose(found.mean(axis=0), seen * mean, atol=0.06)
        np.testing.assert_allclose(found.std(axis=0), std, atol=0.06)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_a_trained_flow_keeps_the_two_ways_of_a_mixture_apart(network):
    """Both knots at 0.6 or both at -0.6: their mean is what no plan does."""

    def draw(key, seen):
        sides, noise = jax.random.split(key)
        side = jax.random.rademacher(sides, (len(seen), 1, 1), dtype=jnp.float32)
        return 0.6 * side + 0.1 * jax.random.normal(noise, (len(seen), 2, 1))

    found = drawn(trained_on(draw, network), 0.2)
    share = (found.mean(axis=1) > 0.0).mean()
    assert 0.4 < share < 0.6
    assert (np.abs(np.abs(found) - 0.6) < 0.3).mean() > 0.9
    assert (np.sign(found[:, 0]) == np.sign(found[:, 1])).mean() > 0.95
