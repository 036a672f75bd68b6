"""Physical parameters of planar pushing, read from a MuJoCo model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpc_studio.scenes.state import Array

if TYPE_CHECKING:
    import mujoco

_JOINTS = {
    "pusher_x": (1.0, 0.0, 0.0),
    "pusher_y": (0.0, 1.0, 0.0),
    "block_x": (1.0, 0.0, 0.0),
    "block_y": (0.0, 1.0, 0.0),
    "block_yaw": (0.0, 0.0, 1.0),
}
"""The joints in the order of `qpos`, and their axes."""


class Pusher(NamedTuple):
    """A disc that slides in the plane: mass in kg and radius in m."""

    mass: Array
    radius: Array


class Servo(NamedTuple):
    """Position servos of the pusher, along x and y.

    Attributes:
        stiffness: N/m (2,).
        damping: N s/m (2,).
        low: Lower control limits, m (2,).
        high: Upper control limits, m (2,).
    """

    stiffness: Array
    damping: Array
    low: Array
    high: Array


class Block(NamedTuple):
    """A body that slides and turns in the plane about its centre of mass.

    Attributes:
        mass: kg.
        inertia: About the vertical, kg m^2.
        damping: Viscous drag along x, y and about the vertical: N s/m, N s/m, N m s (3,).
    """

    mass: Array
    inertia: Array
    damping: Array


class Box(NamedTuple):
    """A box of the block and its contact with the pusher; the boxes are stacked (B,).

    Attributes:
        x: Centre in the block's frame, m.
        y: Centre in the block's frame, m.
        half_x: Half length along its own x axis, m.
        half_y: Half length along its own y axis, m.
        cosine: Of its angle to the block's frame.
        sine: Of its angle to the block's frame.
        friction: Friction coefficient.
        regularisation: `R imp / (1 - imp)` of a pyramid row, 1/kg.
        stiffness: `k` of the reference acceleration, 1/s^2.
        damping: `b` of the reference acceleration, 1/s.
        impedance_low: Impedance at zero depth.
        impedance_high: Impedance at `width` and deeper.
        width: Depth over which the impedance rises, m.
        midpoint: Share of `width` at which it is halfway.
    """

    x: Array
    y: Array
    half_x: Array
    half_y: Array
    cosine: Array
    sine: Array
    friction: Array
    regularisation: Array
    stiffness: Array
    damping: Array
    impedance_low: Array
    impedance_high: Array
    width: Array
    midpoint: Array


class PushParameters(NamedTuple):
    """Parts of a pushing task.

    Attributes:
        dt: Time step, s.
        pusher: The pusher.
        servo: What moves it.
        block: What it pushes.
        boxes: What the block is made of.
        heights: Heights of the sites of pusher and block, m (2,).
    """

    dt: Array
    pusher: Pusher
    servo: Servo
    block: Block
    boxes: Box
    heights: Array


def read_push(model: mujoco.MjModel, boxes: Sequence[str]) -> PushParameters:
    """Reads a model whose pusher touches the geoms `boxes` of the block and nothing else.

    Raises:
        ValueError: The model has physics that the hand-written dynamics leave out.
    """
    _check_world(model)
    _check_bodies(model)
    weight = sum(model.body_invweight0[model.body(name).id, 0] for name in ("pusher", "block"))
    servos = [_servo(model, name) for name in ("servo_x", "servo_y")]
    each = [_box(model, name, weight) for name in boxes]
    _expect(model.npair == len(boxes), f"expected {len(boxes)} contact pairs, got {model.npair}")
    heights = [model.body(name).pos[2] + model.site(name).pos[2] for name in ("pusher", "block")]
    return PushParameters(
        dt=_array(model.opt.timestep),
        pusher=Pusher(
            mass=_array(model.body("pusher").mass[0]), radius=_array(model.geom("pusher").size[0])
        ),
        servo=Servo(*(_array(part) for part in zip(*servos, strict=True))),
        block=Block(
            mass=_array(model.body("block").mass[0]),
            inertia=_array(_vertical_inertia(model, "block")),
            damping=_array(model.dof_damping[2:5]),
        ),
        boxes=Box(*(_array(part) for part in zip(*each, strict=True))),
        heights=_array(heights),
    )


def _check_world(model: mujoco.MjModel) -> None:
    import mujoco

    off = model.opt.disableflags
    weightless = not model.opt.gravity.any() or bool(off & mujoco.mjtDisableBit.mjDSBL_GRAVITY)
    left_out = {
        "an integrator other than implicitfast":
            model.opt.integrator != mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
        "an elliptic friction cone": model.opt.cone != mujoco.mjtCone.mjCONE_PYRAMIDAL,
        "an impratio other than 1": model.opt.impratio != 1.0,
        "gravity": not weightless,
        "joint springs": bool(np.any(model.jnt_stiffness != 0.0)),
        "joint limits": bool(np.any(model.jnt_limited)),
        "dry friction": bool(np.any(model.dof_frictionloss != 0.0)),
        "armature": bool(np.any(model.dof_armature != 0.0)),
        "tendons or equality constraints": model.ntendon + model.neq > 0,
        "contacts other than explicit pairs":
            bool(np.any(model.geom_contype)) and bool(np.any(model.geom_conaffinity)),
        "switched-off contacts or dampers": bool(
            off & (
                mujoco.mjtDisableBit.mjDSBL_CONTACT
                | mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
                | mujoco.mjtDisableBit.mjDSBL_DAMPER
                | mujoco.mjtDisableBit.mjDSBL_REFSAFE
            )
        ),
    }  # fmt: skip
    found = [name for name, present in left_out.items() if present]
    if found:
        raise ValueError(f"the analytic dynamics cannot represent {', '.join(found)}")


def _check_bodies(model: mujoco.MjModel) -> None:
    import mujoco

    names = tuple(model.joint(i).name for i in range(model.njnt))
    _expect(names == tuple(_JOINTS), f"expected the joints {', '.join(_JOINTS)}")
    for name, axis in _JOINTS.items():
        _expect(np.allclose(model.joint(name).axis, axis), f"joint {name}: expected axis {axis}")
        _expect(np.allclose(model.joint(name).pos, 0.0), f"joint {name}: expected position 0")
        _expect(np.allclose(model.joint(name).qpos0, 0.0), f"joint {name}: expected reference 0")
    for name in ("pusher", "block"):
        body = model.body(name)
        at_origin = not body.pos[:2].any() and np.allclose(body.quat, [1.0, 0.0, 0.0, 0.0])
        _expect(at_origin, f"body {name}: expected it at the origin of the plane")
        _expect(
            np.allclose(body.ipos[:2], 0.0, atol=1e-9),
            f"body {name}: expected its centre of mass at its origin",
        )
        _expect(np.allclose(model.site(name).pos[:2], 0.0), f"site {name}: expected position 0")
    _expect(
        bool(np.all(model.dof_damping[:2] == 0.0)), "expected no damping of the pusher's joints"
    )
    _expect(
        model.geom("pusher").type[0] == mujoco.mjtGeom.mjGEOM_SPHERE
        and np.allclose(model.geom("pusher").pos, 0.0),
        "geom pusher: expected a sphere at the origin of its body",
    )


def _servo(model: mujoco.MjModel, name: str) -> tuple[float, float, float, float]:
    """Stiffness, damping, lower and upper limit of a `position` actuator."""
    servo = model.actuator(name)
    stiffness, bias = servo.gainprm[0], servo.biasprm
    _expect(
        servo.gear[0] == 1.0 and bias[0] == 0.0 and bias[1] == -stiffness,
        f"actuator {name}: expected a position servo with gear 1",
    )
    _expect(not servo.forcelimited[0], f"actuator {name}: expected no force limits")
    low, high = servo.ctrlrange if servo.ctrllimited[0] else (-np.inf, np.inf)
    return stiffness, -bias[2], low, high


def _box(model: mujoco.MjModel, name: str, weight: float) -> tuple[float, ...]:
    """The values of `Box`; `weight` is the inverse mass that MuJoCo ascribes to the contact."""
    import mujoco

    geom = model.geom(name)
    w, x, y, z = geom.quat
    _expect(
        geom.type[0] == mujoco.mjtGeom.mjGEOM_BOX
        and geom.bodyid[0] == model.body("block").id
        and np.allclose([x, y], 0.0),
        f"geom {name}: expected an upright box of the block",
    )
    pusher = model.geom("pusher").id
    pairs = [
        pair
        for pair in range(model.npair)
        if {int(model.pair_geom1[pair]), int(model.pair_geom2[pair])} == {pusher, geom.id}
    ]
    _expect(len(pairs) == 1, f"geom {name}: expected one contact pair with the pusher")
    pair = pairs[0]
    friction, other = model.pair_friction[pair, :2]
    low, high, width, midpoint, power = model.pair_solimp[pair]
    constant, ratio = model.pair_solref[pair]
    _expect(
        model.pair_dim[pair] == 3 and friction == other and friction > 0.0,
        f"geom {name}: expected condim 3 and one sliding friction above zero",
    )
    _expect(
        constant > 0.0
        and ratio > 0.0
        and power == 2.0
        and width > 0.0
        and 0.0 < midpoint < 1.0
        and not model.pair_solreffriction[pair].any()
        and model.pair_margin[pair] == model.pair_gap[pair] == 0.0,
        f"geom {name}: expected solref as time constant and damping ratio, solimp of power 2, "
        "no margin, no gap",
    )
    constant = max(constant, 2.0 * model.opt.timestep)  # as MuJoCo does for stability
    return (
        geom.pos[0],
        geom.pos[1],
        geom.size[0],
        geom.size[1],
        w * w - z * z,
        2.0 * w * z,
        friction,
        2.0 * friction**2 * (1.0 + friction**2) * weight,
        1.0 / (high * constant * ratio) ** 2,
        2.0 / (high * constant),
        low,
        high,
        width,
        midpoint,
    )


def _vertical_inertia(model: mujoco.MjModel, body: str) -> float:
    import mujoco

    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.body(body).iquat)
    vertical_in_principal_axes = rotation.reshape(3, 3)[2]
    return float(vertical_in_principal_axes**2 @ model.body(body).inertia)


def _array(value: object) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(f"the analytic dynamics cannot represent the model: {message}")
