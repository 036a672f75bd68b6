"""Equations of motion of the double cart-pole, in JAX.

The Lagrange equations are simplest in the absolute angles `a` and `b` of the two poles from
hanging. With first moments `p = m1 c1 + m2 L` and
`q = m2 c2` (`c` centres of mass, `L` length of the inner pole):

    m11 = M + m1 + m2    m12 = p cos a                   m13 = q cos b
                         m22 = I1 + m1 c1^2 + m2 L^2     m23 = q L cos(a - b)
                                                         m33 = I2 + m2 c2^2
    h1 = -p sin(a) a'^2 - q sin(b) b'^2
    h2 =  p g sin(a) + q L sin(a - b) b'^2
    h3 =  q g sin(b) - q L sin(a - b) a'^2

and `M z'' + h = forces`. The joints measure `a` and `b - a`; their Jacobian is constant, so the
equations in joint coordinates are sums of these rows and columns. Armature and, as MuJoCo's
semi-implicit Euler takes damping implicitly, `dt d` add to the diagonal in joint coordinates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpc_studio.scenes import planar
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco


class DoubleCartPoleParameters(NamedTuple):
    """Parts of the double cart-pole.

    Attributes:
        world: Time step and gravity.
        cart: The cart.
        inner: The pole on the cart.
        outer: The pole on the inner pole.
        motor: The motor on the cart.
        hinge: Position of the inner hinge at x = 0, world frame, m (3,).
        inner_length: Distance between the hinges, m.
        outer_length: Distance of the tip from the outer hinge, m.
    """

    world: planar.World
    cart: planar.Slider
    inner: planar.Link
    outer: planar.Link
    motor: planar.Motor
    hinge: Array
    inner_length: Array
    outer_length: Array


class DoubleCartPoleDynamics:
    """One step of the double cart-pole."""

    def parameters(self, model: mujoco.MjModel) -> DoubleCartPoleParameters:
        """Reads the parameters of a model; raises ValueError if the equations do not fit it."""
        return DoubleCartPoleParameters(
            world=planar.read_world(model),
            cart=planar.read_slider(model, "cart", "slider"),
            inner=planar.read_link(model, "inner_pole", "inner_hinge"),
            outer=planar.read_link(model, "outer_pole", "outer_hinge"),
            motor=planar.read_motor(model, "motor"),
            hinge=np.array(model.body("cart").pos + model.body("inner_pole").pos),
            inner_length=np.asarray(-model.body("outer_pole").pos[2]),
            outer_length=planar.hanging_length(model, "tip"),
        )

    def step(
        self, parameters: DoubleCartPoleParameters, qpos: Array, qvel: Array, control: Array
    ) -> tuple[Array, Array]:
        """One step of `dt`: (3,), (3,), (1,) -> (3,), (3,)."""
        import jax.numpy as jnp

        world, cart, inner, outer = parameters[:4]
        length = parameters.inner_length
        a, b = qpos[1], qpos[1] + qpos[2]
        da, db = qvel[1], qvel[1] + qvel[2]
        sin_a, cos_a, sin_b, cos_b = planar.materialised([*planar.sin_cos(a), *planar.sin_cos(b)])
        sin_ab, cos_ab = sin_a * cos_b - cos_a * sin_b, cos_a * cos_b + sin_a * sin_b
        p, q = inner.mass * inner.com + outer.mass * length, outer.mass * outer.com
        q_length = q * length

        # Absolute coordinates (x, a, b).
        m11 = cart.mass + inner.mass + outer.mass
        m12, m13 = p * cos_a, q * cos_b
        m22 = inner.inertia + inner.mass * inner.com**2 + outer.mass * length**2
        m23 = q_length * cos_ab
        m33 = outer.inertia + q * outer.com
        h1 = -p * sin_a * da**2 - q * sin_b * db**2
        h2 = p * world.gravity * sin_a + q_length * sin_ab * db**2
        h3 = q * world.gravity * sin_b - q_length * sin_ab * da**2

        # Joint coordinates (x, a, b - a), with armature and implicit damping.
        d11 = m11 + cart.armature + world.dt * cart.damping
        d22 = m22 + 2.0 * m23 + m33 + inner.armature + world.dt * inner.damping
        d33 = m33 + outer.armature + world.dt * outer.damping
        d12, d23 = m12 + m13, m23 + m33
        f1 = parameters.motor.force(control[0]) - cart.damping * qvel[0] - h1
        f2 = -inner.damping * qvel[1] - h2 - h3
        f3 = -outer.damping * qvel[2] - h3

        # Elimination from the tip to the cart (LDL^T of a 3 x 3 matrix).
        r3 = 1.0 / d33
        k13, k23 = m13 * r3, d23 * r3
        e11, e12, e22 = d11 - k13 * m13, d12 - k13 * d23, d22 - k23 * d23
        g1, g2 = f1 - k13 * f3, f2 - k23 * f3
        r2 = 1.0 / e22
        k12 = e12 * r2
        acc1 = (g1 - k12 * g2) / (e11 - k12 * e12)
        acc2 = g2 * r2 - k12 * acc1
        acc3 = f3 * r3 - k13 * acc1 - k23 * acc2

        qvel = qvel + world.dt * jnp.stack([acc1, acc2, acc3])
        return qpos + world.dt * qvel, qvel

    def sensors(self, parameters: DoubleCartPoleParameters, state: State) -> Array:
        """Positions of the elbow and of the tip, world frame, m (6,)."""
        import jax.numpy as jnp

        cart, a, b = state.qpos[0], state.qpos[1], state.qpos[1] + state.qpos[2]
        sin_a, cos_a = planar.sin_cos(a)
        sin_b, cos_b = planar.sin_cos(b)
        elbow_x = cart + parameters.inner_length * sin_a
        elbow_z = -parameters.inner_length * cos_a
        tip_x = elbow_x + parameters.outer_length * sin_b
        tip_z = elbow_z - parameters.outer_length * cos_b
        zero = jnp.zeros_like(cart)
        elbow = parameters.hinge + jnp.stack([elbow_x, zero, elbow_z])
        tip = parameters.hinge + jnp.stack([tip_x, zero, tip_z])
        return jnp.concatenate([elbow, tip])
