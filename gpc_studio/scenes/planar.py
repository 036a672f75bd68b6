"""Physical parameters of planar linkages, read from MuJoCo models for hand-written dynamics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpc_studio.scenes.state import Array

if TYPE_CHECKING:
    import mujoco


class World(NamedTuple):
    """What the whole model shares.

    Attributes:
        dt: Time step, s.
        gravity: Downward acceleration, m/s^2.
    """

    dt: Array
    gravity: Array


class Motor(NamedTuple):
    """A direct drive without dynamics of its own.

    Attributes:
        gear: Force or torque per unit of control, N or N m.
        low: Lower control limit.
        high: Upper control limit.
    """

    gear: Array
    low: Array
    high: Array

    def force(self, control: Array) -> Array:
        """Generalised force of a control, clipped to the limits as MuJoCo does."""
        import jax.numpy as jnp

        return self.gear * jnp.clip(control, self.low, self.high)


class Link(NamedTuple):
    """A body that turns about the axis (0, -1, 0) and hangs along its -z axis at angle 0.

    Attributes:
        mass: kg.
        com: Distance of the centre of mass from the hinge, m.
        inertia: Moment of inertia about the centre of mass, kg m^2.
        armature: Reflected rotor inertia, kg m^2.
        damping: Viscous damping of the hinge, N m s.
    """

    mass: Array
    com: Array
    inertia: Array
    armature: Array
    damping: Array


class Slider(NamedTuple):
    """A body that slides along the world x axis; see `Link` for the attributes."""

    mass: Array
    armature: Array
    damping: Array


def read_world(model: mujoco.MjModel) -> World:
    """Reads time step and gravity.

    Raises:
        ValueError: The model has physics that the hand-written dynamics leave out.
    """
    import mujoco

    disabled = model.opt.disableflags
    left_out = {
        "an integrator other than Euler": model.opt.integrator != mujoco.mjtIntegrator.mjINT_EULER,
        "explicit joint damping": bool(disabled & mujoco.mjtDisableBit.mjDSBL_EULERDAMP),
        "gravity along x or y": bool(np.any(model.opt.gravity[:2] != 0.0)),
        "joint springs": bool(np.any(model.jnt_stiffness != 0.0)),
        "joint limits": bool(np.any(model.jnt_limited)),
        "dry friction": bool(np.any(model.dof_frictionloss != 0.0)),
        "tendons or equality constraints": model.ntendon + model.neq > 0,
    }
    found = [name for name, present in left_out.items() if present]
    if found:
        raise ValueError(f"the analytic dynamics cannot represent {', '.join(found)}")
    return World(dt=_scalar(model.opt.timestep), gravity=_scalar(-model.opt.gravity[2]))


def read_motor(model: mujoco.MjModel, name: str) -> Motor:
    """Reads a `motor` actuator on a joint."""
    motor = model.actuator(name)
    unlimited = not motor.ctrllimited[0]
    return Motor(
        gear=_scalar(motor.gear[0] * motor.gainprm[0]),
        low=_scalar(-np.inf if unlimited else motor.ctrlrange[0]),
        high=_scalar(np.inf if unlimited else motor.ctrlrange[1]),
    )


def read_slider(model: mujoco.MjModel, body: str, joint: str) -> Slider:
    """Reads a body on a slide joint along x."""
    slide = model.joint(joint)
    _expect(np.allclose(slide.axis, [1.0, 0.0, 0.0]), f"joint {joint}: expected axis 1 0 0")
    return Slider(
        mass=_scalar(model.body(body).mass[0]),
        armature=_scalar(slide.armature[0]),
        damping=_scalar(slide.damping[0]),
    )


def read_link(model: mujoco.MjModel, body: str, joint: str) -> Link:
    """Reads a body on a hinge about (0, -1, 0) through its origin."""
    import mujoco

    hinge, link = model.joint(joint), model.body(body)
    _expect(np.allclose(hinge.axis, [0.0, -1.0, 0.0]), f"joint {joint}: expected axis 0 -1 0")
    _expect(np.allclose(hinge.pos, 0.0), f"joint {joint}: expected it at the body's origin")
    _expect(
        np.allclose(link.ipos[:2], 0.0), f"body {body}: expected its centre of mass on its z axis"
    )
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, link.iquat)
    y_in_principal_axes = rotation.reshape(3, 3)[1]
    return Link(
        mass=_scalar(link.mass[0]),
        com=_scalar(-link.ipos[2]),
        inertia=_scalar(y_in_principal_axes**2 @ link.inertia),
        armature=_scalar(hinge.armature[0]),
        damping=_scalar(hinge.damping[0]),
    )


def hanging_length(model: mujoco.MjModel, site: str) -> Array:
    """Distance, m, of a site below the origin of its body."""
    return _scalar(-model.site(site).pos[2])


def sin_cos(angle: Array) -> tuple[Array, Array]:
    """Sine and cosine of an angle, rad.

    XLA's CPU compiler calls the C library for every single float32 sine, which is slower than the
    rest of a small step. This is arithmetic alone, so that it handles a vector at once: reduction
    to a quarter turn in three parts of pi/2 and the polynomials of S. Moshier's Cephes library
    (sinf, cosf), within 2e-7 for |angle| up to 1000.
    """
    import jax.numpy as jnp

    if jnp.result_type(angle) != jnp.float32:
        return jnp.sin(angle), jnp.cos(angle)
    quarter = jnp.round(angle * np.float32(2.0 / np.pi))
    x = angle - quarter * np.float32(1.5703125)
    x = x - quarter * np.float32(4.837512969970703125e-4)
    x = x - quarter * np.float32(7.54978995489188216e-8)
    z = x * x
    sine = x + x * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - z * 1.9515295891e-4))
    cosine = (
        1.0
        - 0.5 * z
        + z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 + z * 2.443315711809948e-5))
    )
    turn = quarter - 4.0 * jnp.floor(0.25 * quarter)  # 0, 1, 2 or 3
    odd = (turn == 1.0) | (turn == 3.0)
    sine, cosine = jnp.where(odd, cosine, sine), jnp.where(odd, sine, cosine)
    return (
        jnp.where(turn >= 2.0, -sine, sine),
        jnp.where((turn == 1.0) | (turn == 2.0), -cosine, cosine),
    )


def materialised(values: Sequence[Array]) -> list[Array]:
    """The same scalars, which XLA computes once each.

    XLA's CPU compiler copies cheap-looking work into everything that uses it, sines and cosines
    included: they are computed again for every coordinate that depends on them, which is most of
    the time of a step. It does not copy work across a matrix product, so here is one with the
    identity, at full precision.
    """
    import jax
    import jax.numpy as jnp

    stacked = jnp.stack(list(values))
    identity = jnp.eye(len(values), dtype=stacked.dtype)
    return list(jnp.matmul(identity, stacked, precision=jax.lax.Precision.HIGHEST))


def _scalar(value: float) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(f"the analytic dynamics cannot represent the model: {message}")
