from __future__ import annotations

import mujoco
import numpy as np
import pytest
from world import CartTask

from gpc_studio.app.session.plant import Execution, Plant, PlantDivergedError


def controls(plant, value=1.0, steps=50):
    return Execution(plant.step, np.full((steps, 1), value))


def test_steps_like_a_loop_over_mj_step():
    plant = Plant(CartTask(), seed=3)
    model = plant.task.model
    data = mujoco.MjData(model)
    data.qpos[:] = plant.state().qpos
    mujoco.mj_forward(model, data)
    execution = Execution(0, np.linspace(-1, 1, 7)[:, None])
    while plant.step < 20:
        plant.advance(3, execution)
        plant.state()  # reading must not change the motion
    for step in range(plant.step):
        data.ctrl[:] = execution.controls[min(step, 6)]
        mujoco.mj_step(model, data)
    assert np.array_equal(plant.state().qpos, data.qpos)
    assert np.array_equal(plant.state().qvel, data.qvel)
    mujoco.mj_forward(model, data)
    assert np.array_equal(plant.state().sensordata, data.sensordata)


def test_the_task_model_is_left_alone():
    task = CartTask()
    before = int(task.model.opt.disableflags)
    Plant(task, 0)
    assert task.model.opt.disableflags == before


def test_the_last_control_is_held():
    execution = Execution(10, np.array([[1.0], [2.0]]))
    assert [float(execution.at(step)[0]) for step in (9, 10, 11, 12, 99)] == [1, 1, 2, 2, 2]


def test_a_state_goes_back_to_its_bits():
    plant = Plant(CartTask(), 1)
    plant.advance(2, controls(plant))
    saved = plant.save()
    execution = controls(plant, -2.0)
    for _ in range(9):
        plant.advance(4, execution)
    after, path = plant.state(), plant.path
    plant.restore(saved)
    assert plant.step == 2
    for _ in range(9):
        plant.advance(4, execution)
    assert all(np.array_equal(a, b) for a, b in zip(after, plant.state(), strict=True))
    assert np.array_equal(path, plant.path)


@pytest.mark.parametrize("field", ["qpos", "qvel"])
def test_divergence_keeps_the_last_sound_state(field):
    plant = Plant(CartTask(), 1)
    plant.advance(2, None)
    sound = plant.state()
    plant.model.body_mass[1] = 1.0
    plant.model.actuator_gainprm[0, 0] = np.inf if field == "qpos" else 1e300
    with pytest.raises(PlantDivergedError, match="not finite"):
        plant.advance(2, controls(plant))
    assert all(np.array_equal(a, b) for a, b in zip(sound, plant.state(), strict=True))
    assert plant.step == 2
    plant.model.actuator_gainprm[0, 0] = 1.0
    plant.advance(2, controls(plant))
    assert plant.step == 4


def test_success_needs_its_hold_time():
    plant = Plant(CartTask(), 1)
    x = float(plant.state().qpos[0])
    plant.move_goal(np.array([x, 0, 0]), None)
    plant.observe()
    seen = []
    while plant.step < 20:
        plant.advance(2, None)
        seen.append((plant.step, plant.success))
    assert next(step for step, success in seen if success) == 10  # 0.1 s of 0.01 s steps
    plant.move_goal(np.array([x + 0.5, 0, 0]), None)
    plant.advance(2, None)
    assert not plant.success
    assert plant.progress["distance"] == pytest.approx(0.5, abs=1e-3)


def test_a_push_is_limited_moves_the_body_and_ends():
    plant = Plant(CartTask(), 0)
    assert plant.push_limit == pytest.approx(2 * 9.81 * 1.0)
    before = plant.state().qpos[0]
    plant.set_push(1, np.array([before, 0.1, 0.2]), np.array([1e6, 0.0, 0.0]))
    assert np.linalg.norm(plant.push[1]) == pytest.approx(plant.push_limit)
    while plant.step < 10:
        plant.advance(10, None)
    moved = plant.state().qpos[0] - before
    assert 0.05 < moved < 0.2  # half of 19.6 m/s^2 for 0.1 s, less damping
    assert plant.push[0, 0] - before == pytest.approx(moved, abs=0.05)  # it moves along
    plant.release_push()
    speed = plant.state().qvel[0]
    plant.advance(1, None)
    assert plant.push is None
    assert plant.state().qvel[0] < speed


def test_the_goal_moves_only_as_declared():
    plant = Plant(CartTask(), 0)
    plant.move_goal(np.array([7.0, 3.0, 3.0]), np.array([np.sqrt(0.5), np.sqrt(0.5), 0, 0]))
    state = plant.state()
    assert np.allclose(state.mocap_pos[0], [1.0, 0.0, 0.2])
    assert np.allclose(state.mocap_quat[0], [1, 0, 0, 0])
