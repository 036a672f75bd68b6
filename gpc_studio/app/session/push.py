"""Pushes from outside: how hard, on what, and where."""

from __future__ import annotations

import mujoco
import numpy as np

from gpc_studio.app.session.checks import check_vector
from gpc_studio.options import Option, OptionError
from gpc_studio.scenes.state import State

GRAVITY = 9.81
PUSH_LIMIT = 2.0  # largest push, in weights of everything that moves


def push_limit(model: mujoco.MjModel) -> float:
    """Largest force of a push, N: twice the weight of everything that moves."""
    moving = model.body_treeid >= 0
    return PUSH_LIMIT * GRAVITY * float(model.body_mass[moving].sum())


def check_body(model: mujoco.MjModel, body: object) -> int:
    """Number of a body that moves.

    Raises:
        OptionError: It is something else.
    """
    number = Option("push body", int, 1, min=1, max=model.nbody - 1).check(body)
    if model.body_treeid[number] < 0:
        raise OptionError("push body", "a body that moves", model.body(number).name)
    return number


def check_point(model: mujoco.MjModel, state: State, body: int, point: object) -> np.ndarray:
    """A point that is on a body or near it, so that its lever is one that the model is made for.

    The body moves on while a command is on its way, hence "near": within the extent of the model
    (`mjModel.stat.extent`) from the body's own reach.

    Args:
        model: The model.
        state: Where the body is.
        body: Number of the body.
        point: World frame, m (3,).

    Raises:
        OptionError: It is not three finite numbers, or too far away.
    """
    where = check_vector("push point", point, 3, "m")
    data = mujoco.MjData(model)
    data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = (
        state.qpos, state.mocap_pos, state.mocap_quat
    )  # fmt: skip
    mujoco.mj_kinematics(model, data)
    geoms = np.flatnonzero(model.geom_bodyid == body)
    reach = np.linalg.norm(model.geom_pos[geoms], axis=1) + model.geom_rbound[geoms]
    limit = float(reach.max(initial=0.0)) + float(model.stat.extent)
    centre = data.xpos[body]
    if np.linalg.norm(where - centre) > limit:
        place = ", ".join(f"{value:.3g}" for value in centre)
        name = model.body(body).name or f"body {body}"
        expected = f"a point within {limit:.3g} m of {name}, which is at ({place})"
        raise OptionError("push point", expected, point)
    return where
