"""The state of a simulated world, as arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = Any
"""A NumPy or JAX array (or a tracer of one)."""


class State(NamedTuple):
    """State of one simulation, or of many along leading axes.

    Cost terms and observations are written for one state, without leading axes.

    Attributes:
        time: Simulation time, s, shape ().
        qpos: Generalised positions (nq,).
        qvel: Generalised velocities (nv,).
        act: Actuator activations (na,).
        sensordata: Sensor readings **at this state** (nsensordata,). `mj_step` leaves readings
            of the state before the step; engines realign them.
        mocap_pos: Mocap body positions, world frame, m (nmocap, 3). The goal is a mocap pose.
        mocap_quat: Mocap body orientations, wxyz (nmocap, 4).
    """

    time: Array
    qpos: Array
    qvel: Array
    act: Array
    sensordata: Array
    mocap_pos: Array
    mocap_quat: Array

    @classmethod
    def from_data(cls, data: Any) -> State:
        """Copies the state out of an `mujoco.MjData` whose sensors are current."""
        return cls(
            time=np.asarray(data.time),
            qpos=data.qpos.copy(),
            qvel=data.qvel.copy(),
            act=data.act.copy(),
            sensordata=data.sensordata.copy(),
            mocap_pos=data.mocap_pos.copy(),
            mocap_quat=data.mocap_quat.copy(),
        )


class InitialState(NamedTuple):
    """Where an episode starts; `None` keeps the model's default.

    Attributes:
        qpos: (nq,).
        qvel: (nv,).
        mocap_pos: Goal positions, world frame, m (nmocap, 3).
        mocap_quat: Goal orientations, wxyz (nmocap, 4).
    """

    qpos: Array
    qvel: Array
    mocap_pos: Array | None = None
    mocap_quat: Array | None = None
