"""Double cart-pole swing-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpc_studio.scenes import rail
from gpc_studio.scenes.state import Array, InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Mirror, Randomisation, Task, Weight

if TYPE_CHECKING:
    from gpc_studio.scenes.dynamics import Dynamics

RAIL = 3.8
"""Half of the part of the rail that the cart should use, m."""

HEIGHT = 2.0
"""Height of the tip above the hinge of the cart when both poles stand, m."""


class DoubleCartPole(Task):
    """Swing two poles in series up on a 1 kg cart with 20 N, and balance them at the goal.

    Both angles are 0 hanging, the second is relative to the first. Costs and start states are
    those of the public hydrax and gpc examples, with three changes: the ends of the rail are a
    cost and not a stop; `position` is charged along the way, so that a moved goal is followed; and
    final position and speed weigh 3 and 0.3 instead of 10 and 1, since at those the poles are up
    sooner.
    """

    name = "double_cart_pole"
    title = "Double cart-pole"
    summary = "Swing up two poles in series by moving their cart, and balance them."
    mjcf = "double_cart_pole.xml"
    weights: ClassVar[Mapping[str, Weight]] = {
        "upright": Weight(1.0, 10.0, "Squared distance of the tip from its place above the cart."),
        "position": Weight(0.1, 10.0, "Squared distance of the cart from the goal, m^2."),
        "swing": Weight(0.1, 1.0, "Squared angular velocities of the hinges."),
        "effort": Weight(0.001, 1.0, "Squared control."),
        "rail": Weight(100.0, 1000.0, "Squared distance of the cart beyond the red marks, m^2."),
        "final_upright": Weight(10.0, 100.0, "As upright, at the end of the horizon."),
        "final_position": Weight(3.0, 100.0, "As position, at the end of the horizon."),
        "final_speed": Weight(0.3, 10.0, "Squared velocities of cart and hinges, at the end."),
    }
    traces = ("elbow", "tip")
    goal = Goal("goal", translate=("x",), low=(-RAIL, 0.0, 2.2), high=(RAIL, 0.0, 2.2))
    randomisations = (
        Randomisation(
            "body_mass", 0.7, 1.3, names=("cart", "inner_pole", "outer_pole"), help="Masses"
        ),
        Randomisation(
            "body_inertia", 0.7, 1.3, names=("inner_pole", "outer_pole"), help="Pole inertias"
        ),
        Randomisation("dof_damping", 0.3, 3.0, help="Damping of rail and hinges"),
        Randomisation("actuator_gear", 0.7, 1.3, columns=(0,), help="Strength of the motor"),
    )
    success_hold = 2.0
    episode_seconds = 10.0
    camera = Camera(position=(1.0, -9.6, 3.9), look_at=(0.0, 0.0, 2.15))
    mirror = Mirror(observation=(-1, 1, -1, 1, -1, -1, -1, -1), control=(-1,))
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "*": {
            "samples": 1024, "horizon": 1.0, "knots": 5, "spline": "cubic", "rate": 50.0,
            "noise": 0.15,
        },
        "cem": {"elites": 4, "noise_min": 0.1, "noise_max": 0.3, "patience": 0},
        "predictive_sampling": {"noise": 0.1},
    }  # fmt: skip
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpc": {
            "width": 128, "layers": 3, "episodes": 256, "iterations": 30, "epochs": 20.0,
            "gaussian_samples": 48, "policy_samples": 8, "noise": 0.2, "minibatch": 512,
        },
        "collect": {"samples": 512, "iterations": 2},
    }  # fmt: skip

    def cost_terms(self, state: State, control: Array) -> dict[str, Array]:
        """See `Task.cost_terms`."""
        import jax.numpy as jnp

        return {
            "upright": _upright(state),
            "position": rail.offset(state) ** 2,
            "swing": jnp.sum(state.qvel[1:] ** 2),
            "effort": control[0] ** 2,
            "rail": rail.beyond(state, RAIL),
        }

    def terminal_terms(self, state: State) -> dict[str, Array]:
        """See `Task.terminal_terms`."""
        return rail.final_terms(state, _upright(state))

    def observe(self, state: State) -> Array:
        """Cart from the goal, cosine and sine of both angles, velocities (8,).

        The first angle is taken from upright, the second from the first pole.
        """
        import jax.numpy as jnp

        inner, outer = state.qpos[1], state.qpos[2]
        shape = [
            rail.offset(state),
            -jnp.cos(inner),
            -jnp.sin(inner),
            jnp.cos(outer),
            jnp.sin(outer),
        ]
        return jnp.concatenate([jnp.stack(shape), state.qvel])

    def reset(self, rng: np.random.Generator) -> InitialState:
        """Cart within +-2.8 m, any angles, velocities within +-10 m/s and rad/s."""
        return InitialState(
            qpos=rng.uniform([-2.8, -3.14, -3.14], [2.8, 3.14, 3.14]),
            qvel=rng.uniform(-10.0, 10.0, size=3),
        )

    def is_success(self, state: State) -> bool:
        """Both poles within 0.3 rad of upright, the cart within 1.5 m of the goal, hinges slow.

        Slow is less than 2 rad/s. The cart may still be on its way to the goal: with both poles
        up that takes seconds, and the hold time alone bounds its speed.
        """
        inner, outer = state.qpos[1], state.qpos[1] + state.qpos[2]
        return bool(
            max(np.cos(inner), np.cos(outer)) < -np.cos(0.3)
            and abs(rail.offset(state)) < 1.5
            and np.all(np.abs(state.qvel[1:]) < 2.0)
        )

    def dynamics(self) -> Dynamics:
        """The double cart-pole's equations of motion."""
        from gpc_studio.scenes.double_cart_pole.dynamics import DoubleCartPoleDynamics

        return DoubleCartPoleDynamics()


def _upright(state: State) -> Array:
    """Squared distance of the tip from its place above the cart, m^2."""
    import jax.numpy as jnp

    inner, outer = state.qpos[1], state.qpos[1] + state.qpos[2]
    sideways = jnp.sin(inner) + jnp.sin(outer)
    height = -jnp.cos(inner) - jnp.cos(outer)
    return (height - HEIGHT) ** 2 + sideways**2
