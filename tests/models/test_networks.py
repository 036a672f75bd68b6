from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpc_studio.models.networks import time_features
from gpc_studio.models.policy import Normaliser, new_policy, weight_shapes
from tests.models.policies import NETWORKS, architecture, inputs, policy, velocity

TIMES = jnp.linspace(0.0, 1.0, 11)


def test_one_time_feature_is_the_time_itself():
    np.testing.assert_allclose(time_features(TIMES, 1)[:, 0], TIMES)


def test_time_features_are_the_time_then_sines_and_cosines():
    found = time_features(TIMES, 4)
    expected = [TIMES, np.sin(np.pi * TIMES), np.cos(np.pi * TIMES), np.sin(2 * np.pi * TIMES)]
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_time_features_have_any_shape_and_tell_times_apart(count):
    assert time_features(jnp.zeros((2, 3)), count).shape == (2, 3, count)
    found = np.asarray(time_features(TIMES, count))
    apart = np.abs(found[:, None] - found[None]).max(axis=-1)
    assert (apart[~np.eye(len(TIMES), dtype=bool)] > 0.05).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_a_new_network_moves_nothing_and_learns_everywhere(network):
    fresh = new_policy(architecture(network), Normaliser.identity(3), jax.random.key(0))
    noise, now, last = inputs(fresh)
    assert not velocity(fresh, noise, now, last, 0.3).any()

    trained = policy(network)

    @jax.jit
    @jax.grad
    def gradient(weights):
        moved = replace(trained, weights=weights)
        return jnp.sum(velocity(moved, noise, now, last, 0.3) ** 2)

    gradients = gradient(trained.weights)
    assert all(jnp.abs(leaf).max() > 0.0 for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_key_alone_decides_the_weights(network):
    def weights(seed):
        return new_policy(
            architecture(network), Normaliser.identity(3), jax.random.key(seed)
        ).weights

    same = jax.tree.map(lambda a, b: bool((a == b).all()), weights(0), weights(0))
    other = jax.tree.map(lambda a, b: bool((a == b).all()), weights(0), weights(1))
    assert jax.tree.all(same)
    assert not jax.tree.all(other)


@pytest.mark.parametrize("network", NETWORKS)
def test_first_layers_keep_the_scale_of_their_inputs(network):
    wide = architecture(network, width=256, observation=16, history=True, knots=8)
    weights = new_policy(wide, Normaliser.identity(16), jax.random.key(0)).weights
    inputs_ = ("knots", "condition", "time") if network == "mlp" else ("condition", "time")
    variance = sum(float(jnp.sum(weights[name]["kernel"] ** 2)) for name in inputs_) / 256
    assert 0.8 < variance < 1.2


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("history", [False, True])
def test_the_velocity_depends_on_all_that_it_is_given(network, history):
    trained = policy(network, history=history)
    noise, now, last = inputs(trained)
    base = velocity(trained, noise, now, last, 0.3)
    assert base.shape == noise.shape

    def differs(*changed):
        return bool(jnp.abs(velocity(trained, *changed) - base).max() > 1e-4)

    assert differs(noise + 0.1, now, last, 0.3)
    assert differs(noise, now + 0.1, last + 0.1, 0.3)
    assert differs(noise, now, last, 0.5)
    assert differs(noise, now, last + 0.1, 0.3) is history


def test_the_context_scales_and_shifts_the_channels_of_the_cnn():
    """FiLM: with the shift alone, a velocity would be the same function of the knots plus one."""
    trained = policy("cnn", layers=1)
    noise, now, last = inputs(trained, count=2)
    trained.weights["film"]["bias"] = jnp.zeros_like(trained.weights["film"]["bias"])
    width = trained.architecture.width
    kernel = trained.weights["film"]["kernel"]

    def spread(kernel):
        weights = {**trained.weights, "film": {**trained.weights["film"], "kernel": kernel}}
        return velocity(replace(trained, weights=weights), noise, now, last, 0.3)

    scale_only = spread(kernel.at[:, width:].set(0.0))
    shift_only = spread(kernel.at[:, :width].set(0.0))
    neither = spread(jnp.zeros_like(kernel))
    assert jnp.abs(scale_only - neither).max() > 1e-4
    assert jnp.abs(shift_only - neither).max() > 1e-4


def test_the_cnn_sees_as_far_as_its_kernels_reach():
    """One block has four convolutions on the way, so that a knot acts four knots away, not five."""
    trained = policy("cnn", layers=1, knots=12)
    noise, now, last = inputs(trained, count=1)
    changed = velocity(trained, noise.at[0, 0].add(1.0), now, last, 0.3)
    moved = jnp.abs(changed - velocity(trained, noise, now, last, 0.3)).max(axis=(0, 2))
    assert (moved[:5] > 0.0).all()
    assert (moved[5:] == 0.0).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_shapes_are_known_without_weights(network):
    shapes = weight_shapes(architecture(network))
    weights = policy(network).weights
    assert jax.tree.structure(shapes) == jax.tree.structure(weights)
    assert jax.tree.all(
        jax.tree.map(lambda s, w: s.shape == w.shape and s.dtype == w.dtype, shapes, weights)
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_a_batch_and_vmap_give_what_single_calls_give(network):
    trained = policy(network, history=True)
    noise, _, _ = inputs(trained)
    now, last = jax.random.normal(jax.random.key(8), (2, 5, 3))
    times = jnp.linspace(0.0, 1.0, 5)
    single = jnp.stack([velocity(trained, noise[i], now[i], last[i], times[i]) for i in range(5)])
    batched = velocity(trained, noise, now, last, times)
    mapped = jax.vmap(velocity, in_axes=(None, 0, 0, 0, 0))(trained, noise, now, last, times)
    np.testing.assert_allclose(batched, single, atol=1e-5)
    np.testing.assert_allclose(mapped, single, atol=1e-5)
