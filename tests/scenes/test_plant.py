"""The plant of many episodes."""

import mujoco
import numpy as np
import pytest

from gpc_studio.scenes import load_task
from gpc_studio.scenes.plant import Plant, one_state


@pytest.mark.parametrize("name", ["pendulum", "push_t"])
def test_the_plant_is_a_loop_over_mj_step(name):
    task = load_task(name)
    rng = np.random.default_rng(1)
    low, high = task.control_range
    plant = Plant(task.model, episodes=2, threads=2)
    starts = [task.reset(rng) for _ in range(2)]
    for episode, start in enumerate(starts):
        plant.place(episode, start)
    controls = rng.uniform(low, high, (3, 2, 7, task.nu))
    periods = [plant.advance(part) for part in controls]

    for episode, start in enumerate(starts):
        data, sensors = mujoco.MjData(task.model), mujoco.MjData(task.model)
        data.qpos[:], data.qvel[:] = start.qpos, start.qvel
        if start.mocap_pos is not None:
            data.mocap_pos[:] = start.mocap_pos
        if start.mocap_quat is not None:
            data.mocap_quat[:] = start.mocap_quat
        spec = mujoco.mjtState.mjSTATE_INTEGRATION.value
        for part, period in zip(controls, periods, strict=True):
            assert (period.diverged == 7).all()
            for step in range(7):
                data.ctrl[:] = part[episode, step]
                mujoco.mj_step(task.model, data)
                now = one_state(period.states, episode, step)
                np.testing.assert_array_equal(now.qpos, data.qpos)
                np.testing.assert_array_equal(now.qvel, data.qvel)
                assert now.time == data.time
                row = np.empty(mujoco.mj_stateSize(task.model, spec))
                mujoco.mj_getState(task.model, data, row, spec)
                mujoco.mj_setState(task.model, sensors, row, spec)
                mujoco.mj_forward(task.model, sensors)
                np.testing.assert_array_equal(now.sensordata, sensors.sensordata)
        # Looking does not touch: the solver's warm start is still that of the last step.
        np.testing.assert_array_equal(plant._batch.bind("qacc_warmstart")[episode],
                                      data.qacc_warmstart)  # fmt: skip
