"""Planar pushing in JAX: a round pusher on position servos against a block made of boxes.

The equations are MuJoCo's own (https://mujoco.readthedocs.io/en/stable/computation), written out
for five degrees of freedom: pusher x, y and block x, y, yaw. With diagonal masses `M`, smooth
forces `f` and contact Jacobian `J`, MuJoCo finds the acceleration `a` that solves

    M a = f + J' max(0, (aref - J a) / R),      aref = -b J v - k imp(d) d

with one row for every edge of the friction pyramids, and then steps, implicitly in damping and
servo velocity gain (integrator `implicitfast`). Three facts make this small:

- Both bodies move freely, so contacts see only the relative acceleration, which in the block's
  frame, with the yaw, is three numbers whatever the number of boxes.
- The pyramid of a planar contact has the rows `n + mu t` and `n - mu t`, and two equal rows `n`,
  since nothing moves upwards.
- The right side is piecewise linear. Newton's method, of which every step solves a symmetric
  3 x 3 system for the rows that push now, ends in the exact solution once the rows are right.

One contact needs two or three steps. `NEWTON_STEPS` is three: two boxes touched at once may leave
some of their rows wrong for a time step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpc_studio.scenes.planar import materialised, sin_cos
from gpc_studio.scenes.push_model import Box, PushParameters, read_push
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco

NEWTON_STEPS = 3
"""Newton steps of the contact solution."""


class _Contact(NamedTuple):
    """One box and the pusher, in the block's frame.

    Attributes:
        normal: From the box to the pusher (2,).
        normal_arm: Moment of the normal at the contact about the block's origin, m.
        tangent_arm: The same of the tangent (-n_y, n_x), m.
        normal_target: Reference acceleration along the normal, m/s^2.
        tangent_target: Reference acceleration along the tangent, m/s^2.
        strength: 1 / R of a row of the pyramid, kg; zero out of contact.
        friction: Friction coefficient.
    """

    normal: tuple[Array, Array]
    normal_arm: Array
    tangent_arm: Array
    normal_target: Array
    tangent_target: Array
    strength: Array
    friction: Array


class _Motion(NamedTuple):
    """A velocity or acceleration of the pusher relative to the block, in the block's frame.

    Attributes:
        x: Along the block's x axis; of the pusher relative to the block's origin.
        y: Along the block's y axis.
        yaw: Of the pusher's surroundings about the block: the block's own, with opposite sign.
    """

    x: Array
    y: Array
    yaw: Array

    def along(self, contact: _Contact) -> tuple[Array, Array]:
        """Components along normal and tangent of a contact."""
        nx, ny = contact.normal
        return (
            self.x * nx + self.y * ny + self.yaw * contact.normal_arm,
            self.y * nx - self.x * ny + self.yaw * contact.tangent_arm,
        )


class _System(NamedTuple):
    """Three linear equations for a `_Motion`: a symmetric positive matrix and the right side."""

    xx: Array
    xy: Array
    yy: Array
    xw: Array
    yw: Array
    ww: Array
    x: Array
    y: Array
    w: Array

    def solve(self) -> tuple[_Motion, Array]:
        """The solution multiplied by the determinant, and the determinant, which is positive.

        Cramer's rule, so that nothing is divided: which rows push is a matter of signs.
        """
        xx, xy, yy, xw, yw, ww, x, y, w = self
        mxx, mxy, mxw = yy * ww - yw * yw, xw * yw - xy * ww, xy * yw - yy * xw
        myy, myw, mww = xx * ww - xw * xw, xy * xw - xx * yw, xx * yy - xy * xy
        scaled = _Motion(
            mxx * x + mxy * y + mxw * w,
            mxy * x + myy * y + myw * w,
            mxw * x + myw * y + mww * w,
        )
        return scaled, xx * mxx + xy * mxy + xw * mxw


class PlanarPushDynamics:
    """One step of a pusher and a block; agrees with MuJoCo up to `NEWTON_STEPS` and rounding."""

    def __init__(self, boxes: Sequence[str]) -> None:
        """Names the geoms that make up the block."""
        self._boxes = tuple(boxes)

    def parameters(self, model: mujoco.MjModel) -> PushParameters:
        """Reads the parameters of a model; raises ValueError if the equations do not fit it."""
        return read_push(model, self._boxes)

    def step(
        self, parameters: PushParameters, qpos: Array, qvel: Array, control: Array
    ) -> tuple[Array, Array]:
        """One step of `dt`: (5,), (5,), (2,) -> (5,), (5,)."""
        import jax.numpy as jnp

        pusher, servo, block = parameters.pusher, parameters.servo, parameters.block
        command = jnp.clip(control, servo.low, servo.high)
        force_x, force_y = (
            servo.stiffness[i] * (command[i] - qpos[i]) - servo.damping[i] * qvel[i]
            for i in range(2)
        )
        drag_x, drag_y, drag_yaw = (-block.damping[i] * qvel[2 + i] for i in range(3))

        # Parameters are inverted before they meet the samples: a division is dear.
        light = 1.0 / pusher.mass, 1.0 / block.mass
        sine, cosine = materialised(sin_cos(qpos[4]))

        def in_block(x: Array, y: Array) -> tuple[Array, Array]:
            return cosine * x + sine * y, cosine * y - sine * x

        x, y, vx, vy, ax, ay = materialised(
            [
                *in_block(qpos[0] - qpos[2], qpos[1] - qpos[3]),
                *in_block(qvel[0] - qvel[2], qvel[1] - qvel[3]),
                *in_block(
                    light[0] * force_x - light[1] * drag_x,
                    light[0] * force_y - light[1] * drag_y,
                ),
            ]
        )
        velocity = _Motion(vx, vy, -qvel[4])
        free = _Motion(ax, ay, -(1.0 / block.inertia) * drag_yaw)
        contacts = [_contact(parameters, box, x, y, velocity) for box in range(len(self._boxes))]
        mass = pusher.mass * block.mass / (pusher.mass + block.mass)
        found = _solve_contacts(contacts, free, mass, block.inertia)

        push_x, push_y = mass * (found.x - free.x), mass * (found.y - free.y)
        moment = block.inertia * (free.yaw - found.yaw)
        world_x, world_y = cosine * push_x - sine * push_y, sine * push_x + cosine * push_y
        dt = parameters.dt
        # The servos' and the table's damping acts on the velocity after the step.
        gains = [
            dt / (inertia + dt * damping)
            for inertia, damping in zip(
                (pusher.mass, pusher.mass, block.mass, block.mass, block.inertia),
                (*servo.damping, *block.damping),
                strict=True,
            )
        ]
        forces = (
            force_x + world_x,
            force_y + world_y,
            drag_x - world_x,
            drag_y - world_y,
            drag_yaw + moment,
        )
        later = qvel + jnp.stack([g * force for g, force in zip(gains, forces, strict=True)])
        return qpos + dt * later, later

    def sensors(self, parameters: PushParameters, state: State) -> Array:
        """Positions of pusher and block, world frame, m (6,)."""
        import jax.numpy as jnp

        qpos, heights = state.qpos, parameters.heights
        still = 0.0 * qpos[0]
        return jnp.stack(
            [qpos[0], qpos[1], still + heights[0], qpos[2], qpos[3], still + heights[1]]
        )


def _contact(
    parameters: PushParameters, index: int, x: Array, y: Array, velocity: _Motion
) -> _Contact:
    """Contact with one box of a pusher at (x, y) in the block's frame."""
    import jax
    import jax.numpy as jnp

    box = Box(*(part[index] for part in parameters.boxes))
    radius = parameters.pusher.radius
    off_x, off_y = x - box.x, y - box.y
    local_x = box.cosine * off_x + box.sine * off_y
    local_y = box.cosine * off_y - box.sine * off_x
    # Distances beyond the faces: both below zero inside, where the nearest face pushes.
    beyond_x, beyond_y = jnp.abs(local_x) - box.half_x, jnp.abs(local_y) - box.half_y
    out_x, out_y = jnp.maximum(beyond_x, 0.0), jnp.maximum(beyond_y, 0.0)
    squared = out_x * out_x + out_y * out_y
    inside = squared == 0.0
    out_x = jnp.where(inside & (beyond_x > beyond_y), 1.0, out_x)
    out_y = jnp.where(inside & (beyond_x <= beyond_y), 1.0, out_y)
    scale = jax.lax.rsqrt(out_x * out_x + out_y * out_y)
    face_x = jnp.where(local_x < 0.0, -out_x, out_x) * scale
    face_y = jnp.where(local_y < 0.0, -out_y, out_y) * scale
    nx, ny, distance = materialised(
        [
            box.cosine * face_x - box.sine * face_y,
            box.sine * face_x + box.cosine * face_y,
            jnp.where(inside, jnp.maximum(beyond_x, beyond_y), squared * scale) - radius,
        ]
    )

    # Impedance: a smooth ramp between two values over `width` of depth.
    depth = jnp.minimum(jnp.abs(distance) * (1.0 / box.width), 1.0)
    rise = depth * depth * (1.0 / box.midpoint)
    fall = 1.0 - (1.0 - depth) * (1.0 - depth) * (1.0 / (1.0 - box.midpoint))
    ramp = jnp.where(depth <= box.midpoint, rise, fall)
    impedance = box.impedance_low + ramp * (box.impedance_high - box.impedance_low)
    strength = jnp.where(
        distance < 0.0, impedance / (box.regularisation - box.regularisation * impedance), 0.0
    )
    # MuJoCo's contact point lies halfway between the two surfaces.
    normal_arm = x * ny - y * nx
    tangent_arm = x * nx + y * ny - (radius + 0.5 * distance)
    approach = velocity.x * nx + velocity.y * ny + velocity.yaw * normal_arm
    slide = velocity.y * nx - velocity.x * ny + velocity.yaw * tangent_arm
    normal_target = -box.damping * approach - box.stiffness * impedance * distance
    strength, normal_target = materialised([strength, normal_target])
    return _Contact(
        normal=(nx, ny),
        normal_arm=normal_arm,
        tangent_arm=tangent_arm,
        normal_target=normal_target,
        tangent_target=-box.damping * slide,
        strength=strength,
        friction=box.friction,
    )


def _solve_contacts(
    contacts: Sequence[_Contact], free: _Motion, mass: Array, inertia: Array
) -> _Motion:
    """The relative acceleration under contact, given that without (`free`).

    Between Newton steps only the set of pushing rows is kept, as bits of one integer: one number
    to write and read again, where an acceleration would be three.
    """
    import jax

    def improve(_: int, rows: Array) -> Array:
        return _pushing(contacts, *_system(contacts, rows, free, mass, inertia).solve())

    rows = jax.lax.fori_loop(0, NEWTON_STEPS - 1, improve, _pushing(contacts, free, 1.0))
    system = _system(contacts, rows, free, mass, inertia)
    system = _System(
        *(row for part in range(0, 9, 3) for row in materialised(system[part : part + 3]))
    )
    scaled, scale = system.solve()
    x, y, yaw, scale = materialised([*scaled, scale])
    inverse = 1.0 / scale
    return _Motion(x * inverse, y * inverse, yaw * inverse)


def _pushing(contacts: Sequence[_Contact], scaled: _Motion, scale: Array | float) -> Array:
    """Bits of the rows that push at an acceleration: n + mu t, n - mu t, n of every contact.

    The acceleration is given multiplied by a positive `scale`.
    """
    import jax.numpy as jnp

    bits = jnp.zeros((), np.int32)
    for number, contact in enumerate(contacts):
        along_normal, along_tangent = scaled.along(contact)
        normal = scale * contact.normal_target - along_normal
        sideways = contact.friction * (scale * contact.tangent_target - along_tangent)
        for row, gap in enumerate((normal + sideways, normal - sideways, normal)):
            bits = bits | jnp.where(gap > 0.0, np.int32(1 << (3 * number + row)), np.int32(0))
    return bits


def _system(
    contacts: Sequence[_Contact], rows: Array, free: _Motion, mass: Array, inertia: Array
) -> _System:
    """Whose solution is the relative acceleration if just these rows push, whatever their signs."""
    import jax.numpy as jnp

    hxx, hyy, hww = mass, mass, inertia
    hxy = hxw = hyw = 0.0
    gx, gy, gw = mass * free.x, mass * free.y, inertia * free.yaw
    for number, contact in enumerate(contacts):
        (nx, ny), rn, rt = contact.normal, contact.normal_arm, contact.tangent_arm
        mu = contact.friction
        plus, minus, both = (
            jnp.where((rows & np.int32(1 << (3 * number + row))) != 0, contact.strength, 0.0)
            for row in range(3)
        )
        # Stiffness along (n, t), and its products with the two rows of the Jacobian.
        knn, knt, ktt = plus + minus + 2.0 * both, mu * (plus - minus), mu * mu * (plus + minus)
        fn = knn * contact.normal_target + knt * contact.tangent_target
        ft = knt * contact.normal_target + ktt * contact.tangent_target
        nnx, nny, nnw = knn * nx - knt * ny, knn * ny + knt * nx, knn * rn + knt * rt
        ttx, tty, ttw = knt * nx - ktt * ny, knt * ny + ktt * nx, knt * rn + ktt * rt
        hxx, hxy, hyy = (
            hxx + nnx * nx - ttx * ny,
            hxy + nnx * ny + ttx * nx,
            hyy + nny * ny + tty * nx,
        )
        hxw, hyw, hww = (
            hxw + nnw * nx - ttw * ny,
            hyw + nnw * ny + ttw * nx,
            hww + nnw * rn + ttw * rt,
        )
        gx, gy, gw = gx + fn * nx - ft * ny, gy + fn * ny + ft * nx, gw + fn * rn + ft * rt
    return _System(hxx, hxy, hyy, hxw, hyw, hww, gx, gy, gw)
