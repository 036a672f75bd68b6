"""Equation of motion of the pendulum, in JAX.

With the angle `th` from hanging, the centre of mass at distance `c` from the hinge and the motor
torque `tau`:

    (I + m c^2 + armature) th'' = tau - d th' - m g c sin(th)

MuJoCo's Euler integrator is semi-implicit and takes the damping implicitly: it adds `dt d` to the
inertia on the left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gpc_studio.scenes import planar
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco


class PendulumParameters(NamedTuple):
    """Parts of the pendulum.

    Attributes:
        world: Time step and gravity.
        rod: The rod.
        motor: The motor on its hinge.
        hinge: Position of the hinge, world frame, m (3,).
        length: Distance of the tip from the hinge, m.
    """

    world: planar.World
    rod: planar.Link
    motor: planar.Motor
    hinge: Array
    length: Array


class PendulumDynamics:
    """One step of the pendulum."""

    def parameters(self, model: mujoco.MjModel) -> PendulumParameters:
        """Reads the parameters of a model; raises ValueError if the equations do not fit it."""
        return PendulumParameters(
            world=planar.read_world(model),
            rod=planar.read_link(model, "rod", "hinge"),
            motor=planar.read_motor(model, "motor"),
            hinge=np.array(model.body("rod").pos),
            length=planar.hanging_length(model, "tip"),
        )

    def step(
        self, parameters: PendulumParameters, qpos: Array, qvel: Array, control: Array
    ) -> tuple[Array, Array]:
        """One step of `dt`: (1,), (1,), (1,) -> (1,), (1,)."""
        world, rod = parameters.world, parameters.rod
        inertia = rod.inertia + rod.mass * rod.com**2 + rod.armature + world.dt * rod.damping
        weight = rod.mass * world.gravity * rod.com * planar.sin_cos(qpos)[0]
        acceleration = (parameters.motor.force(control) - rod.damping * qvel - weight) / inertia
        qvel = qvel + world.dt * acceleration
        return qpos + world.dt * qvel, qvel

    def sensors(self, parameters: PendulumParameters, state: State) -> Array:
        """Position of the tip, world frame, m (3,)."""
        import jax.numpy as jnp

        sine, cosine = planar.sin_cos(state.qpos[0])
        offset = jnp.stack([sine, jnp.zeros_like(sine), -cosine])
        return parameters.hinge + parameters.length * offset
