"""The flow policy as a proposal."""

import dataclasses

import jax
import numpy as np
import pytest

from gpc_studio.controllers.proposals.base import Context, signature
from gpc_studio.controllers.splines import evaluate, knot_times
from gpc_studio.models import policy as policies
from gpc_studio.scenes import State
from tests.controllers.arm import states
from tests.models.reacher import Reacher, options_of, policy_units, proposal


@pytest.fixture(scope="module")
def task():
    return Reacher()


def context(task, options, seed=0):
    """A context whose previous plan is far from zero in every unit."""
    state = State(*(values[0] for values in states(task, 1, seed)))
    rng = np.random.default_rng(seed)
    previous = rng.uniform(-0.5, 0.5, (options.knots, task.nu)).astype(np.float32)
    low, high = task.control_range.astype(np.float32)
    seen = task.observe(state).astype(np.float32)
    return Context(
        state=state, mean=previous, std=0 * previous, previous=previous, observation=seen,
        last_observation=0.9 * seen, low=low, high=high, extra=(),
    )  # fmt: skip


def draw(made, count, around, options, key=0, **changes):
    """Knots and latents of a proposal, with its parameters traced."""
    values = dataclasses.replace(options, **changes)
    drawn = jax.jit(
        lambda parameters, key: made.draw(parameters, key, count, around, values)
    )(made.parameters, jax.random.key(key))  # fmt: skip
    return tuple(np.asarray(part) for part in drawn)


def test_the_previous_plan_starts_the_flow_in_policy_units(task):
    """Fed in physical units, it would be in a region the policy was never trained in."""
    options = options_of(task, "gpc_shoot")
    made, around = proposal(task, options), context(task, options)
    expected = np.asarray(policy_units(task, around.state, around.previous)).ravel()
    assert np.abs(expected - around.previous.ravel()).max() > 0.3
    _, latents = draw(made, 3, around, options, warm_start=1.0)
    np.testing.assert_allclose(latents, np.tile(expected, (3, 1)), atol=1e-6)
    _, noise = draw(made, 3, around, options, warm_start=0.0)
    _, mixed = draw(made, 3, around, options, warm_start=0.25)
    np.testing.assert_allclose(mixed, 0.75 * noise + 0.25 * expected, atol=1e-5)


def test_noise_is_standard_normal_in_policy_units(task):
    options = options_of(task, "gpc_shoot")
    _, noise = draw(proposal(task, options), 2000, context(task, options), options)
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1.0) < 0.03


def test_samples_are_those_of_the_policy_in_actuator_units(task):
    options = options_of(task, "gpc_shoot")
    made, around = proposal(task, options), context(task, options)
    knots, noise = draw(made, 5, around, options)
    expected = policies.sample(
        made.parameters["policy"], noise.reshape(5, 4, 2), around.observation,
        around.last_observation, options.flow_steps,
    )  # fmt: skip
    np.testing.assert_allclose(policy_units(task, around.state, knots), expected, atol=1e-5)


def test_a_sample_is_the_same_however_many_are_drawn(task):
    options = options_of(task, "gpc_shoot")
    made, around = proposal(task, options), context(task, options)
    few, many = draw(made, 2, around, options), draw(made, 9, around, options)
    for a, b in zip(few, many, strict=True):
        np.testing.assert_array_equal(a, b[:2])


@pytest.mark.parametrize(("horizon", "spline", "knots"), [(0.2, "cubic", 4), (0.6, "linear", 5)])
def test_plans_are_read_at_the_planners_knots(task, horizon, spline, knots):
    """A policy for other plans: read within its horizon, and held beyond it."""
    options = options_of(task, "gpc_shoot", horizon=0.3)
    made = proposal(task, options, horizon=horizon, spline=spline, knots=knots)
    around = context(task, options)
    drawn, noise = draw(made, 2, around, options)
    own = policies.sample(
        made.parameters["policy"], noise.reshape(2, knots, 2), around.observation,
        around.last_observation, options.flow_steps,
    )  # fmt: skip
    low, high = task.policy_range
    own = task.from_policy_frame(around.state, 0.5 * (low + high) + 0.5 * (high - low) * own)
    times = knot_times(options.horizon, options.knots)
    for sample, plan in zip(drawn, np.asarray(own), strict=True):
        np.testing.assert_allclose(sample, evaluate(spline, plan, horizon, times), atol=1e-5)
    if horizon < options.horizon:
        np.testing.assert_allclose(drawn[:, -1], np.asarray(own)[:, -1], atol=1e-5)
    _, start = draw(made, 1, around, options, warm_start=1.0)
    there = evaluate(options.spline, around.previous, options.horizon, knot_times(horizon, knots))
    expected = policy_units(task, around.state, there)
    np.testing.assert_allclose(start.reshape(knots, 2), expected, atol=1e-5)


def test_equal_plans_are_not_touched(task):
    options = options_of(task, "gpc_shoot")
    parameters = proposal(task, options).parameters
    for name in ("to_planner", "to_policy"):
        np.testing.assert_allclose(parameters[name], np.eye(options.knots), atol=1e-7)


def test_policies_of_one_architecture_can_change_places(task):
    options = options_of(task, "gpc_shoot")
    first = signature(proposal(task, options))
    assert hash(first) == hash(signature(proposal(task, options, seed=1)))
    assert first == signature(proposal(task, options, seed=1, horizon=0.7))
    assert first != signature(proposal(task, options, width=8))
    assert first != signature(proposal(task, options, knots=5))
