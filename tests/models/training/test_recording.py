import jax.numpy as jnp
import numpy as np
import pytest

from gpc_studio.controllers import splines
from gpc_studio.controllers.registry import default_options
from gpc_studio.controllers.rules.base import Distribution
from gpc_studio.controllers.stages import Memory
from gpc_studio.models.training.recording import Recorded, mirrored, recorder, scaled
from gpc_studio.options import updated
from gpc_studio.scenes import load_task
from gpc_studio.scenes.plant import Plant
from gpc_studio.scenes.state import InitialState


def push_t_states(episodes=2):
    task = load_task("push_t")
    plant = Plant(task.model, episodes, 1)
    angle = 0.7
    for place in range(episodes):
        start = task.reset(np.random.default_rng(place))
        goal = InitialState(
            start.qpos,
            start.qvel,
            np.array([[0.1, -0.2, 0.0]]),
            np.array([[np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)]]),
        )
        plant.place(place, goal)
    return task, plant.observe()


def test_the_plan_before_is_the_one_before_the_update_shifted_to_now():
    task, state = push_t_states()
    options = updated(default_options(task, "cem"), {"horizon": 2.0, "knots": 5})
    rng = np.random.default_rng(0)
    before_knots, knots = rng.uniform(-0.5, 0.5, (2, 2, 5, 2)).astype(np.float32)
    passed = 0.13
    memory = Memory(
        np.asarray(state.time) - passed,
        jnp.zeros((2, 2), jnp.uint32),
        Distribution(before_knots, before_knots),
        jnp.asarray(before_knots),
        jnp.full((2, 6), 3.0),
    )
    found = recorder(task, options)(state, memory, knots)
    np.testing.assert_array_equal(found.last_observation, 3.0)
    for e in range(2):
        one = type(state)(*(part[e] for part in state))
        shifted = splines.shift(options.spline, before_knots[e], 2.0, jnp.float32(passed))
        np.testing.assert_allclose(
            found.previous[e], task.to_policy_frame(one, np.asarray(shifted)), atol=1e-5
        )
        back = task.from_policy_frame(one, np.asarray(found.knots[e]))
        np.testing.assert_allclose(back, knots[e], atol=1e-5)
        np.testing.assert_allclose(found.observation[e], task.observe(one), atol=1e-5)
    # A goal that is turned and moved: the policy's frame is not the world's.
    assert np.abs(np.asarray(found.knots) - knots).max() > 0.05


def test_policy_units_are_the_policy_range():
    task = load_task("push_t")
    low, high = task.policy_range
    middle = 0.5 * (low + high)
    corners = np.stack([low, middle, high, 2 * high])
    np.testing.assert_allclose(scaled(task, corners)[:, 0], [-1, 0, 1, 1], atol=1e-6)


@pytest.mark.parametrize("name", ["pendulum", "cart_pole", "double_cart_pole", "push_t"])
def test_a_mirror_twice_is_nothing(name):
    task = load_task(name)
    assert task.mirror is not None
    nobs, nu = len(task.mirror.observation), len(task.mirror.control)
    rng = np.random.default_rng(1)
    one = Recorded(
        rng.normal(size=(3, 4, nu)), rng.normal(size=(3, 4, nu)),
        rng.normal(size=(3, nobs)), rng.normal(size=(3, nobs)),
    )  # fmt: skip
    image = mirrored(task.mirror, one)
    assert any(np.any(a != b) for a, b in zip(one, image, strict=True))
    for a, b in zip(one, mirrored(task.mirror, image), strict=True):
        np.testing.assert_array_equal(a, b)
    # What is negated lies symmetrically in the range, so that units keep the mirror image.
    low, high = task.policy_range
    negated = np.array(task.mirror.control) < 0
    np.testing.assert_allclose(low[negated], -high[negated])
