"""How far a handle must stand in front of the bodies that would take its presses.

The page gives a press to whatever is nearest to the eye, drawn on top or not, and a body that can
be pushed takes every press on it. A goal's handle therefore stands between the bodies and the
task's camera, moved only along directions in which the goal itself cannot move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mujoco

    from gpc_studio.scenes.task import Camera, Goal

_GAP = 0.01
"""Free distance, times the model's extent."""

_HIDES = 0.25
"""A geom that reaches less far, times the handle's size, leaves enough of the handle to grab."""


def handle_offset(
    model: mujoco.MjModel, goal: Goal, home: np.ndarray, camera: Camera, size: float
) -> np.ndarray:
    """Displacement of the goal's handle that puts it in front of all bodies that could hide it.

    Args:
        model: The model, in its reference state.
        goal: Degrees of freedom.
        home: The goal's position, world frame, m (3,).
        camera: Where the task is looked at from.
        size: Length of the handle's arrows, m.

    Returns:
        World frame, m (3,); zero when every direction is one that the goal uses.
    """
    free = np.array([axis not in goal.translate for axis in "xyz"])
    if goal.rotate:
        # A ring stays concentric with what it turns only when it is moved along its axis.
        free &= len(goal.rotate) == 1 and np.array([axis in goal.rotate for axis in "xyz"])
    out = np.zeros(3)
    if free.any():
        view = np.where(free, np.subtract(camera.position, camera.look_at), 0.0)
        axis = int(np.abs(view).argmax())
        side = 1.0 if view[axis] >= 0.0 else -1.0
        front = _front(model, axis, side, _HIDES * size)
        if np.isfinite(front):
            gap = _GAP * float(model.stat.extent)
            out[axis] = side * max(front + gap - side * home[axis], 0.0)
    return out


def _front(model: mujoco.MjModel, axis: int, side: float, smallest: float) -> float:
    """Largest `side * coordinate`, m, of the geoms that can be pushed; -inf without any.

    Those that reach less than `smallest`, m, to all sides of the axis do not count.
    """
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    bodies = model.geom_bodyid
    moving = (model.body_weldid[bodies] > 0) & (model.body_mocapid[model.body_rootid[bodies]] < 0)
    found = -np.inf
    for geom in np.flatnonzero(moving & (model.geom_group < 3)):
        turn = data.geom_xmat[geom].reshape(3, 3)
        centre, half = model.geom_aabb[geom].reshape(2, 3)
        middle, reach = data.geom_xpos[geom] + turn @ centre, np.abs(turn) @ half
        if np.delete(reach, axis).max() >= smallest:
            found = max(found, side * middle[axis] + reach[axis])
    return float(found)
