"""A two-joint arm with gravity, contacts, sensors, a goal and randomisations, for tests."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
import mujoco
import numpy as np

from gpc_studio.scenes import InitialState, Randomisation, State, Task, Weight


class Arm(Task):
    name = "arm"
    title = "Arm"
    summary = "Two joints reach for a point."
    mjcf = "arm.xml"
    weights: ClassVar = {
        "reach": Weight(1.0, 10.0, "Distance to the goal."),
        "effort": Weight(0.01, 1.0, "Control."),
        "arrive": Weight(0.5, 10.0, "Distance to the goal at the end."),
    }
    traces = ("tip",)
    randomisations = (
        Randomisation("body_mass", 0.5, 2.0, names=("upper", "lower"), help="mass"),
        Randomisation("dof_damping", 0.1, 5.0, help="damping"),
        Randomisation("geom_friction", 0.3, 0.9, names=("floor",), columns=(0,), help="friction"),
    )
    defaults: ClassVar = {"*": {"horizon": 0.5, "temperature": 0.05}, "cem": {"elites": 6}}

    def cost_terms(self, state, control):
        gap = state.sensordata[:3] - state.mocap_pos[0]
        return {"reach": gap @ gap, "effort": control @ control}

    def terminal_terms(self, state):
        gap = state.sensordata[:3] - state.mocap_pos[0]
        return {"arrive": gap @ gap}

    def hold_control(self, state):
        return jnp.array([0.1, -0.7]) + 0.0 * state.time  # the second is below its limit

    def reset(self, rng):
        return InitialState(rng.uniform(-1, 1, 2), np.zeros(2))

    def is_success(self, state):
        return bool(np.linalg.norm(state.sensordata[:3] - state.mocap_pos[0]) < 0.1)


def states(task: Task, count: int, seed: int = 0) -> State:
    """Random states with current sensors, stacked (count, ...)."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        data = mujoco.MjData(task.model)
        initial = task.reset(rng)
        data.qpos[:], data.qvel[:] = initial.qpos, initial.qvel
        data.time = rng.uniform(0, 10)
        mujoco.mj_forward(task.model, data)
        rows.append(State.from_data(data))
    return State(*(np.stack(values) for values in zip(*rows, strict=True)))
