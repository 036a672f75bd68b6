"""The tasks' own dynamics against MuJoCo."""

import jax
import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

from gpc_studio.scenes import State, load_task, planar

TASKS = ("pendulum", "cart_pole", "double_cart_pole")

HORIZON = 1.0
"""Length of the rollouts compared, s."""

HORIZON_BOUND = {"pendulum": 1e-3, "cart_pole": 1e-3, "double_cart_pole": 1e-2}
"""Largest error of a coordinate after `HORIZON` in float32, m or rad, from `Task.reset` states."""


@pytest.fixture(params=TASKS)
def task(request):
    return load_task(request.param)


def randomised(task, rng) -> mujoco.MjModel:
    """A copy of the model, perturbed as the task declares and in its armature."""
    model = task.model.__copy__()
    for item in task.randomisations:
        values = getattr(model, item.field)
        columns = item.columns or slice(None)
        kind = item.field.split("_")[0]
        ids = [getattr(model, {"dof": "joint"}.get(kind, kind))(name).id for name in item.names]
        for row in ids or range(len(values)):
            if values.ndim == 1:
                values[row] *= rng.uniform(item.low, item.high)
            else:
                values[row, columns] *= rng.uniform(item.low, item.high)
    model.dof_armature[:] = rng.uniform(0.0, 0.05, size=model.nv)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def one_step_errors(task, count, rng) -> np.ndarray:
    """Relative errors of one step from random states, on the nominal and on random models."""
    dynamics = task.dynamics()
    step = jax.jit(dynamics.step)
    errors = []
    for number in range(count):
        model = task.model if number % 2 else randomised(task, rng)
        parameters = dynamics.parameters(model)
        start = task.reset(rng)
        control = rng.uniform(-1.5, 1.5, size=model.nu)  # also beyond the limits
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:], data.ctrl[:] = start.qpos, start.qvel, control
        mujoco.mj_step(model, data)
        mine = np.concatenate(step(parameters, start.qpos, start.qvel, control))
        exact = np.concatenate([data.qpos, data.qvel])
        errors.append(np.max(np.abs(mine - exact) / np.maximum(np.abs(exact), 1.0)))
    return np.array(errors)


def test_one_step_agrees_in_float64(task):
    with jax.enable_x64(True):
        assert one_step_errors(task, 200, np.random.default_rng(0)).max() < 1e-12


def test_one_step_agrees_in_float32(task):
    assert one_step_errors(task, 200, np.random.default_rng(1)).max() < 1e-5


def test_the_horizon_stays_within_the_stated_bound(task):
    rng, number = np.random.default_rng(2), 200
    steps = round(HORIZON / task.dt)
    starts = [task.reset(rng) for _ in range(number)]
    qpos, qvel = (np.array([getattr(s, name) for s in starts]) for name in ("qpos", "qvel"))
    controls = rng.uniform(-1.0, 1.0, size=(number, steps, task.nu))

    batch = Batch(task.model, number, 1)
    batch.qpos[:], batch.qvel[:] = qpos, qvel
    exact = batch.rollout(steps, controls)["qpos"]

    dynamics = task.dynamics()
    parameters = dynamics.parameters(task.model)

    def rollout(qpos, qvel, controls):
        def step(state, control):
            state = dynamics.step(parameters, *state, control)
            return state, state[0]

        return jax.lax.scan(step, (qpos, qvel), controls)[1]

    mine = jax.jit(jax.vmap(rollout))(qpos, qvel, controls)
    assert np.abs(mine - exact).max() < HORIZON_BOUND[task.name]
    with jax.enable_x64(True):
        mine = jax.jit(jax.vmap(rollout))(qpos, qvel, controls)
        assert np.abs(mine - exact).max() < 1e-10


def test_sensors_agree(task):
    rng, dynamics = np.random.default_rng(3), task.dynamics()
    data = mujoco.MjData(task.model)
    for _ in range(20):
        start = task.reset(rng)
        data.qpos[:], data.qvel[:] = start.qpos, start.qvel
        mujoco.mj_forward(task.model, data)
        state = State.from_data(data)
        mine = dynamics.sensors(dynamics.parameters(task.model), state)
        np.testing.assert_allclose(mine, state.sensordata, atol=2e-5)


def test_physics_that_the_equations_leave_out_is_refused(task):
    limited = task.model.__copy__()
    limited.jnt_limited[0] = 1
    with pytest.raises(ValueError, match="joint limits"):
        task.dynamics().parameters(limited)
    tilted = task.model.__copy__()
    tilted.opt.gravity[0] = 1.0
    with pytest.raises(ValueError, match="gravity along x"):
        task.dynamics().parameters(tilted)


def test_sine_and_cosine_of_vectors():
    angles = np.linspace(-1000.0, 1000.0, 400_001, dtype=np.float32)
    exact = angles.astype(np.float64)
    sine, cosine = jax.jit(planar.sin_cos)(angles)
    assert sine.dtype == cosine.dtype == np.float32
    np.testing.assert_allclose(sine, np.sin(exact), atol=2e-7)
    np.testing.assert_allclose(cosine, np.cos(exact), atol=2e-7)
    assert np.isnan(planar.sin_cos(np.float32(np.nan))).all()
    with jax.enable_x64(True):
        sine, cosine = jax.jit(planar.sin_cos)(exact)
        np.testing.assert_allclose(sine, np.sin(exact), atol=1e-14)
        np.testing.assert_allclose(cosine, np.cos(exact), atol=1e-14)
