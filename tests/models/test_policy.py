import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpc_studio.models.policy import (
    OUTLIER,
    STD_FLOOR,
    Normaliser,
    from_policy_units,
    to_policy_units,
    warm_start,
)
from gpc_studio.scenes import load_task
from tests.models.policies import NETWORKS, flow, inputs, policy, sample, velocity
from tests.scenes.test_tasks import state_at


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_samples_are_forward_euler(network, steps):
    trained = policy(network, history=True)
    noise, now, last = inputs(trained)
    knots = noise
    for step in range(steps):
        knots = knots + velocity(trained, knots, now, last, step / steps) / steps
    found = sample(trained, noise, now, last, steps=steps)
    np.testing.assert_allclose(found, np.clip(knots, -1.0, 1.0), atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_flow_goes_from_the_noise_to_the_samples(network):
    trained = policy(network)
    noise, now, last = inputs(trained)
    points = flow(trained, noise, now, last, steps=6)
    assert points.shape == (7, *noise.shape)
    np.testing.assert_array_equal(points[0], noise)
    np.testing.assert_array_equal(points[-1], sample(trained, noise, now, last, steps=6))
    third = points[2] + velocity(trained, points[2], now, last, 2 / 6) / 6
    np.testing.assert_allclose(points[3], third, atol=1e-5)


def test_samples_are_within_the_range_and_points_between_need_not_be():
    trained = policy()
    noise, now, last = inputs(trained, count=200)
    points = flow(trained, 3.0 * noise, now, last, steps=4)
    assert np.abs(points[-1]).max() <= 1.0
    assert np.abs(points[1:-1]).max() > 1.0


@pytest.mark.parametrize("network", NETWORKS)
def test_episodes_are_vmapped(network):
    trained = policy(network, history=True)
    noise = jax.random.normal(jax.random.key(1), (3, 5, 4, 2))
    now, last = jax.random.normal(jax.random.key(2), (2, 3, 3))
    mapped = jax.vmap(lambda *a: sample(trained, *a, steps=4))(noise, now, last)
    for episode in range(3):
        alone = sample(trained, noise[episode], now[episode], last[episode], steps=4)
        np.testing.assert_allclose(mapped[episode], alone, atol=1e-5)


def test_newer_weights_need_no_compilation():
    traces = []

    @jax.jit
    def draw(policy, noise, now, last):
        traces.append(1)
        return sample(policy, noise, now, last, steps=3)

    one, other = policy(seed=0), policy(seed=1)
    noise, now, last = inputs(one)
    first, second = draw(one, noise, now, last), draw(other, noise, now, last)
    assert len(traces) == 1
    assert jnp.abs(first - second).max() > 1e-3


@given(alpha=st.floats(0.0, 1.0), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_warm_start_lies_between_noise_and_previous_plan(alpha, seed):
    rng = np.random.default_rng(seed)
    noise, previous = rng.normal(size=(6, 4, 2)), rng.uniform(-1.0, 1.0, (4, 2))
    start = warm_start(noise, previous, alpha)
    expected = (1.0 - alpha) * noise + alpha * np.broadcast_to(previous, noise.shape)
    np.testing.assert_allclose(start, expected, atol=1e-12)


def test_the_ends_of_a_warm_start_are_exact():
    noise, previous = np.random.default_rng(0).normal(size=(2, 6, 4, 2))
    np.testing.assert_array_equal(warm_start(noise, previous, 0.0), noise)
    np.testing.assert_array_equal(warm_start(noise, previous, 1.0), previous)


@given(seed=st.integers(0, 999), scale=st.floats(0.01, 100.0), shift=st.floats(-50.0, 50.0))
@settings(max_examples=30, deadline=None)
def test_the_normaliser_standardises_its_data(seed, scale, shift):
    rng = np.random.default_rng(seed)
    now = shift + scale * rng.normal(size=(400, 3))
    last = now - 0.02 * scale * rng.normal(size=(400, 3)) - 1e-4
    measured = Normaliser.of(now, last)
    seen = measured.condition(now, last, history=True)
    assert seen.shape == (400, 6)
    np.testing.assert_allclose(seen[:, :3].mean(axis=0), 0.0, atol=2e-2)
    np.testing.assert_allclose(seen[:, :3].std(axis=0), 1.0, atol=2e-2)
    if 0.02 * scale > 2 * STD_FLOOR:
        np.testing.assert_allclose(seen[:, 3:].std(axis=0), 1.0, atol=5e-2)


def test_what_never_varied_in_the_data_cannot_blow_up():
    now = np.zeros((50, 2))
    measured = Normaliser.of(now, now)
    np.testing.assert_allclose(measured.std, STD_FLOOR)
    np.testing.assert_allclose(measured.change, STD_FLOOR)
    seen = measured.condition(np.array([1.0, -1.0]), np.zeros(2), history=True)
    np.testing.assert_allclose(seen, [OUTLIER, -OUTLIER] * 2)


def test_the_same_observation_as_before_is_no_change():
    trained = policy(history=True)
    now = jnp.array([0.3, -0.2, 0.9])
    assert not trained.normaliser.condition(now, now, history=True)[3:].any()


@pytest.mark.parametrize("name", ["pendulum", "push_t"])
def test_policy_units_are_a_round_trip_of_the_whole_range(name):
    task = load_task(name)
    turned = np.array([np.cos(0.4), 0.0, 0.0, np.sin(0.4)])
    state = state_at(task, goal_position=[[0.1, -0.2, 0.0]], goal_quat=turned[None])
    knots = np.random.default_rng(0).uniform(*task.control_range, (7, 4, task.nu))
    units = to_policy_units(task, state, knots)
    np.testing.assert_allclose(from_policy_units(task, state, units), knots, atol=1e-6)
    corners = from_policy_units(task, state, np.array([-np.ones(task.nu), np.ones(task.nu)]))
    np.testing.assert_allclose(task.to_policy_frame(state, corners), task.policy_range, atol=1e-6)
