"""Cart-pole swing-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpc_studio.scenes import rail
from gpc_studio.scenes.state import Array, InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Mirror, Randomisation, Task, Weight

if TYPE_CHECKING:
    from gpc_studio.scenes.dynamics import Dynamics

RAIL = 1.8
"""Half of the part of the rail that the cart should use, m."""


class CartPole(Task):
    """Swing a pole up on a 1 kg cart with 10 N, and balance it at the goal on the rail.

    The angle is 0 hanging and pi upright. Costs and start states are those of the public hydrax
    and gpc examples, except that the ends of the rail are a cost and not a stop.
    """

    name = "cart_pole"
    title = "Cart-pole"
    summary = "Swing up a pole by moving its cart, and balance it where the goal stands."
    mjcf = "cart_pole.xml"
    weights: ClassVar[Mapping[str, Weight]] = {
        "upright": Weight(1.0, 10.0, "Squared distance of the tip from above the cart."),
        "position": Weight(1.0, 10.0, "Squared distance of the cart from the goal, m^2."),
        "speed": Weight(0.01, 1.0, "Squared velocities of cart and pole."),
        "effort": Weight(0.01, 1.0, "Squared control."),
        "rail": Weight(100.0, 1000.0, "Squared distance of the cart beyond the red marks, m^2."),
        "final_upright": Weight(10.0, 100.0, "As upright, at the end of the horizon."),
        "final_position": Weight(1.0, 10.0, "As position, at the end of the horizon."),
        "final_speed": Weight(0.01, 1.0, "As speed, at the end of the horizon."),
    }
    traces = ("tip",)
    goal = Goal("goal", translate=("x",), low=(-RAIL, 0.0, 1.2), high=(RAIL, 0.0, 1.2))
    randomisations = (
        Randomisation("body_mass", 0.7, 1.3, names=("cart", "pole"), help="Masses"),
        Randomisation("body_inertia", 0.7, 1.3, names=("pole",), help="Inertia of the pole"),
        Randomisation("dof_damping", 0.1, 10.0, help="Damping of rail and hinge"),
        Randomisation("actuator_gear", 0.7, 1.3, columns=(0,), help="Strength of the motor"),
    )
    success_hold = 2.0
    episode_seconds = 10.0
    camera = Camera(position=(0.7, -5.6, 2.5), look_at=(0.0, 0.0, 1.15))
    mirror = Mirror(observation=(-1, 1, -1, -1, -1), control=(-1,))
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "*": {
            "samples": 64, "horizon": 1.0, "knots": 6, "spline": "linear", "rate": 50.0,
            "noise": 0.2,
        },
        "cem": {"noise_min": 0.1},
        "predictive_sampling": {"noise": 0.15},
    }  # fmt: skip
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpc": {"width": 64, "iterations": 8, "epochs": 30.0},
    }

    def cost_terms(self, state: State, control: Array) -> dict[str, Array]:
        """See `Task.cost_terms`."""
        import jax.numpy as jnp

        return {
            "upright": _upright(state),
            "position": rail.offset(state) ** 2,
            "speed": jnp.sum(state.qvel**2),
            "effort": control[0] ** 2,
            "rail": rail.beyond(state, RAIL),
        }

    def terminal_terms(self, state: State) -> dict[str, Array]:
        """See `Task.terminal_terms`."""
        return rail.final_terms(state, _upright(state))

    def observe(self, state: State) -> Array:
        """Cart from the goal, m, cosine and sine of the angle from upright, velocities (5,)."""
        import jax.numpy as jnp

        angle = state.qpos[1]
        shape = jnp.stack([rail.offset(state), -jnp.cos(angle), -jnp.sin(angle)])
        return jnp.concatenate([shape, state.qvel])

    def reset(self, rng: np.random.Generator) -> InitialState:
        """Cart within +-1.8 m, any angle, velocities within +-2 m/s and rad/s."""
        return InitialState(
            qpos=rng.uniform([-1.8, -3.14], [1.8, 3.14]), qvel=rng.uniform(-2.0, 2.0, size=2)
        )

    def is_success(self, state: State) -> bool:
        """Within 0.25 rad of upright and 0.5 m of the goal, slower than 1 m/s and 1.5 rad/s."""
        return bool(
            -np.cos(state.qpos[1]) > np.cos(0.25)
            and abs(rail.offset(state)) < 0.5
            and np.all(np.abs(state.qvel) < [1.0, 1.5])
        )

    def dynamics(self) -> Dynamics:
        """The cart-pole's equations of motion."""
        from gpc_studio.scenes.cart_pole.dynamics import CartPoleDynamics

        return CartPoleDynamics()


def _upright(state: State) -> Array:
    """Squared distance of the pole's tip from its place above the cart, in pole lengths."""
    import jax.numpy as jnp

    return 2.0 + 2.0 * jnp.cos(state.qpos[1])
