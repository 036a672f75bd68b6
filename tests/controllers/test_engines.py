"""Engines against a plain loop over MuJoCo's step, and against each other."""

import mujoco
import numpy as np
import pytest

from gpc_studio.controllers import domains
from gpc_studio.controllers.engines.analytic import AnalyticEngine
from gpc_studio.controllers.engines.native import NativeEngine
from gpc_studio.scenes.cart_pole.task import CartPole
from tests.controllers.arm import states

E, D, N, T = 2, 3, 4, 25


def controls_for(task, seed=0, shape=(E, N, T)):
    low, high = task.control_range
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (*shape, task.nu)).astype(np.float32)


def plain_loop(model, state, episode, controls):
    """States x_0 .. x_T and the sensors that mj_forward gives at each of them."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = state.qpos[episode], state.qvel[episode]
    data.time = state.time[episode]
    data.mocap_pos[:], data.mocap_quat[:] = state.mocap_pos[episode], state.mocap_quat[episode]
    rows = []
    for control in [*controls, controls[-1]]:
        data.ctrl[:] = control
        before = data.qpos.copy(), data.qvel.copy()
        probe = mujoco.MjData(model)
        probe.qpos[:], probe.qvel[:] = before
        probe.mocap_pos[:], probe.mocap_quat[:] = data.mocap_pos, data.mocap_quat
        probe.ctrl[:] = control
        mujoco.mj_forward(model, probe)
        rows.append((*before, probe.sensordata.copy()))
        mujoco.mj_step(model, data)
    return [np.stack(values) for values in zip(*rows, strict=True)]


@pytest.fixture(scope="module")
def setting(arm):
    state = states(arm, E, seed=3)
    state = state._replace(mocap_pos=state.mocap_pos + np.arange(E)[:, None, None])
    return arm, domains.draw(arm, D, seed=2), state, controls_for(arm)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_native_is_a_loop_over_mj_step_bit_for_bit(setting, threads):
    _, models, state, controls = setting
    engine = NativeEngine(models, E, N, T, threads)
    assert engine.threads == threads
    engine.rollout(state._replace(qvel=state.qvel + 1.0), controls[..., ::-1, :])  # leaves no trace
    got = engine.rollout(state, controls)
    engine.close()
    assert got.qpos.shape == (E, D, T + 1, 2, N) and got.qpos.dtype == np.float32
    assert got.act.shape == (E, D, T + 1, 0, N)
    assert got.ok.all()
    for e, d, n in np.ndindex(E, D, N):
        qpos, qvel, sensors = plain_loop(models[d], state, e, controls[e, n])
        np.testing.assert_array_equal(got.qpos[e, d, ..., n], qpos.astype(np.float32))
        np.testing.assert_array_equal(got.qvel[e, d, ..., n], qvel.astype(np.float32))
        # Sensors of the same row belong to the state of that row.
        np.testing.assert_allclose(got.sensordata[e, d, ..., n], sensors, atol=1e-6)


def test_domains_differ_and_the_first_is_nominal(setting):
    arm, models, state, controls = setting
    several = NativeEngine(models, E, N, T)
    alone = NativeEngine([arm.model], E, N, T)
    got, nominal = several.rollout(state, controls), alone.rollout(state, controls)
    np.testing.assert_array_equal(got.qpos[:, :1], nominal.qpos)
    np.testing.assert_array_equal(got.sensordata[:, :1], nominal.sensordata)
    for d in range(1, D):
        assert np.abs(got.qpos[:, d, :, -1] - got.qpos[:, 0, :, -1]).max() > 1e-3
    several.close(), alone.close()


def test_results_are_the_caller_s(setting):
    _, models, state, controls = setting
    engine = NativeEngine(models, E, N, T)
    first = engine.rollout(state, controls)
    kept = [np.array(values) for values in first]
    engine.rollout(state._replace(qpos=state.qpos + 1.0), controls)
    engine.close()
    for values, before in zip(first, kept, strict=True):
        np.testing.assert_array_equal(values, before)


def test_a_diverged_simulation_is_told_apart(setting):
    _, models, state, controls = setting
    broken = state.qvel.copy()
    broken[1] = [1e12, 0.0]  # MuJoCo warns, and resets the simulation to finite values
    engine = NativeEngine(models, E, N, T)
    got = engine.rollout(state._replace(qvel=broken), controls)
    assert got.ok[0].all() and not got.ok[1].any()
    assert engine.rollout(state, controls).ok.all()
    engine.close()


@pytest.fixture(scope="module")
def cart_pole():
    task = CartPole()
    state = states(task, E, seed=1)
    return task, domains.draw(task, D, seed=2), state, controls_for(task)


def test_analytic_agrees_with_native(cart_pole):
    task, models, state, controls = cart_pole
    dynamics = task.dynamics()
    native, analytic = NativeEngine(models, E, N, T), AnalyticEngine(dynamics, models)
    expected, got = native.rollout(state, controls), analytic.rollout(state, controls)
    native.close(), analytic.close()
    for name in ("qpos", "qvel", "act", "sensordata", "ok"):
        value, other = np.asarray(getattr(got, name)), getattr(expected, name)
        assert value.shape == other.shape and value.dtype == other.dtype, name
        np.testing.assert_allclose(value, other, atol=2e-3, err_msg=name)
    assert np.abs(np.diff(np.asarray(got.qpos)[:, :, -1], axis=1)).max() > 1e-3  # domains act


def test_analytic_marks_divergence(cart_pole):
    task, models, state, controls = cart_pole
    engine = AnalyticEngine(task.dynamics(), models)
    broken = state.qvel.copy()
    broken[1, 0] = np.nan
    ok = np.asarray(engine.rollout(state._replace(qvel=broken), controls).ok)
    engine.close()
    assert ok[0].all() and not ok[1].any()


@pytest.mark.parametrize("samples", [512, 1024])
def test_analytic_vectors_that_are_filled_up_leave_no_trace(cart_pole, samples):
    """Vectors that would lie whole pages apart are made longer; nobody sees it."""
    task, models, state, _ = cart_pole
    controls = controls_for(task, seed=4, shape=(E, samples, T))
    engine = AnalyticEngine(task.dynamics(), models)
    whole, part = engine.rollout(state, controls), engine.rollout(state, controls[:, :100])
    engine.close()
    assert whole.qpos.shape == (E, D, T + 1, 2, samples) and whole.ok.shape == (E, D, samples)
    for name in ("qpos", "qvel", "sensordata"):
        some = np.asarray(getattr(whole, name))[..., :100]
        np.testing.assert_allclose(some, getattr(part, name), atol=1e-5, err_msg=name)


def test_analytic_rollouts_are_the_same_bits_again(cart_pole):
    task, models, state, controls = cart_pole
    engine = AnalyticEngine(task.dynamics(), models)
    first = [np.array(values) for values in engine.rollout(state, controls)]
    engine.rollout(state, controls[..., ::-1, :])
    for value, again in zip(first, engine.rollout(state, controls), strict=True):
        np.testing.assert_array_equal(value, again)
    engine.close()
