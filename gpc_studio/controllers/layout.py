"""How states travel into compiled code, and traced points out of sensor readings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpc_studio.scenes.state import Array, State
from gpc_studio.scenes.task import Task


class Layout:
    """States packed into one float32 row an episode, so that a call has one array to convert."""

    def __init__(self, task: Task) -> None:
        model = task.model
        self._shapes = State(
            time=(),
            qpos=(model.nq,),
            qvel=(model.nv,),
            act=(model.na,),
            sensordata=(model.nsensordata,),
            mocap_pos=(model.nmocap, 3),
            mocap_quat=(model.nmocap, 4),
        )
        columns = task.trace_columns
        self._traces: Any = columns
        flat = columns.ravel()
        if flat.size and (np.diff(flat) == 1).all():
            self._traces = slice(flat[0], flat[-1] + 1)  # a view, not a copy
        self._points = len(columns)

    def pack(self, state: State, passed: np.ndarray) -> np.ndarray:
        """States (E, ...) and the times since the last plans (E,) as rows (E, width)."""
        count = len(passed)
        parts = [np.asarray(value).reshape(count, -1) for value in state]
        return np.concatenate([passed[:, None], *parts], axis=1, dtype=np.float32)

    def unpack(self, row: Array) -> tuple[State, Array]:
        """State and time since the last plan from a row (width,)."""
        parts, start = [], 1
        for shape in self._shapes:
            size = math.prod(shape)
            parts.append(row[start : start + size].reshape(shape))
            start += size
        return State(*parts), row[0]

    def traces(self, sensordata: np.ndarray) -> np.ndarray:
        """Traced points along sensor readings (..., nsensordata) -> (..., S, 3)."""
        return sensordata[..., self._traces].reshape(*sensordata.shape[:-1], self._points, 3)
