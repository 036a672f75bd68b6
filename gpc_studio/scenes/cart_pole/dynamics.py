"""Equations of motion of the cart-pole, in JAX.

With the cart at `x`, the pole's angle `th` from hanging, its centre of mass at distance `c` from
the hinge, and the force `f` on the cart, the Lagrange equations are

    (M + m) x''      + m c cos(th) th''  = f - d_x x' + m c sin(th) th'^2
    m c cos(th) x''  + (I + m c^2) th''  =   - d_th th' - m g c sin(th)

Armature adds to the diagonal. MuJoCo's Euler integrator is semi-implicit and takes the damping
implicitly: it adds `dt d` to the diagonal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpc_studio.scenes import planar
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco


class CartPoleParameters(NamedTuple):
    """Parts of the cart-pole.

    Attributes:
        world: Time step and gravity.
        cart: The cart.
        pole: The pole.
        motor: The motor on the cart.
        hinge: Position of the hinge at x = 0, world frame, m (3,).
        length: Distance of the tip from the hinge, m.
    """

    world: planar.World
    cart: planar.Slider
    pole: planar.Link
    motor: planar.Motor
    hinge: Array
    length: Array


class CartPoleDynamics:
    """One step of the cart-pole."""

    def parameters(self, model: mujoco.MjModel) -> CartPoleParameters:
        """Reads the parameters of a model; raises ValueError if the equations do not fit it."""
        return CartPoleParameters(
            world=planar.read_world(model),
            cart=planar.read_slider(model, "cart", "slider"),
            pole=planar.read_link(model, "pole", "hinge"),
            motor=planar.read_motor(model, "motor"),
            hinge=np.array(model.body("cart").pos + model.body("pole").pos),
            length=planar.hanging_length(model, "tip"),
        )

    def step(
        self, parameters: CartPoleParameters, qpos: Array, qvel: Array, control: Array
    ) -> tuple[Array, Array]:
        """One step of `dt`: (2,), (2,), (1,) -> (2,), (2,)."""
        import jax.numpy as jnp

        world, cart, pole = parameters.world, parameters.cart, parameters.pole
        sine, cosine = planar.sin_cos(qpos[1])
        speed, rate = qvel[0], qvel[1]
        moment = pole.mass * pole.com  # first moment of mass about the hinge, kg m

        m00 = cart.mass + pole.mass + cart.armature + world.dt * cart.damping
        m01 = moment * cosine
        m11 = pole.inertia + moment * pole.com + pole.armature + world.dt * pole.damping
        force = parameters.motor.force(control[0]) - cart.damping * speed + moment * sine * rate**2
        torque = -pole.damping * rate - moment * world.gravity * sine

        inverse = 1.0 / (m00 * m11 - m01 * m01)
        speed = speed + world.dt * inverse * (m11 * force - m01 * torque)
        rate = rate + world.dt * inverse * (m00 * torque - m01 * force)
        qvel = jnp.stack([speed, rate])
        return qpos + world.dt * qvel, qvel

    def sensors(self, parameters: CartPoleParameters, state: State) -> Array:
        """Position of the tip, world frame, m (3,)."""
        import jax.numpy as jnp

        cart, angle = state.qpos[0], state.qpos[1]
        sine, cosine = planar.sin_cos(angle)
        along = cart + parameters.length * sine
        up = -parameters.length * cosine
        return parameters.hinge + jnp.stack([along, jnp.zeros_like(along), up])
