"""Pendulum swing-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpc_studio.scenes.state import Array, InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Mirror, Randomisation, Task, Weight

if TYPE_CHECKING:
    from gpc_studio.scenes.dynamics import Dynamics


class Pendulum(Task):
    """Swing a 1 kg rod to a target angle with 2 N m, where lifting it sideways takes 4.9 N m.

    The angle is 0 hanging and pi upright. The goal turns about the hinge; the motor can hold
    angles within 24 degrees of upright or of hanging. Costs and start states are those of the
    public hydrax and gpc examples.
    """

    name = "pendulum"
    title = "Pendulum"
    summary = "Swing up and balance a rod with a motor too weak to lift it at once."
    mjcf = "pendulum.xml"
    weights: ClassVar[Mapping[str, Weight]] = {
        "angle": Weight(1.0, 10.0, "Squared distance of the tip from the goal's, in rod lengths."),
        "speed": Weight(0.01, 1.0, "Squared angular velocity."),
        "effort": Weight(0.001, 1.0, "Squared control."),
        "final_angle": Weight(1.0, 10.0, "As angle, at the end of the horizon."),
        "final_speed": Weight(0.01, 1.0, "As speed, at the end of the horizon."),
    }
    traces = ("tip",)
    goal = Goal("goal", rotate=("y",))
    randomisations = (
        Randomisation("body_mass", 0.7, 1.3, names=("rod",), help="Mass of the rod"),
        Randomisation("body_inertia", 0.7, 1.3, names=("rod",), help="Inertia of the rod"),
        Randomisation(
            "body_ipos", 0.9, 1.1, names=("rod",), columns=(2,), help="Centre of mass of the rod"
        ),
        Randomisation("actuator_gear", 0.7, 1.3, columns=(0,), help="Strength of the motor"),
    )
    success_hold = 2.0
    episode_seconds = 10.0
    camera = Camera(position=(1.3, -4.2, 2.0), look_at=(0.0, 0.0, 1.25))
    mirror = Mirror(observation=(1, -1, -1), control=(-1,))
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "*": {"samples": 64, "horizon": 1.0, "knots": 6, "spline": "linear", "rate": 50.0},
    }
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpc": {"width": 32, "iterations": 8, "epochs": 10.0},
    }

    def cost_terms(self, state: State, control: Array) -> dict[str, Array]:
        """See `Task.cost_terms`."""
        return {
            "angle": self._angle_cost(state),
            "speed": state.qvel[0] ** 2,
            "effort": control[0] ** 2,
        }

    def terminal_terms(self, state: State) -> dict[str, Array]:
        """See `Task.terminal_terms`."""
        return {"final_angle": self._angle_cost(state), "final_speed": state.qvel[0] ** 2}

    def observe(self, state: State) -> Array:
        """Cosine and sine of the angle from the goal, angular velocity in rad/s (3,)."""
        import jax.numpy as jnp

        cosine, sine = _error(state, jnp.cos(state.qpos[0]), jnp.sin(state.qpos[0]))
        return jnp.stack([cosine, sine, state.qvel[0]])

    def reset(self, rng: np.random.Generator) -> InitialState:
        """Any angle, angular velocity within +-8 rad/s."""
        return InitialState(
            qpos=rng.uniform(-np.pi, np.pi, size=1), qvel=rng.uniform(-8.0, 8.0, size=1)
        )

    def is_success(self, state: State) -> bool:
        """Within 0.2 rad of the goal and slower than 1 rad/s."""
        cosine, _ = _error(state, np.cos(state.qpos[0]), np.sin(state.qpos[0]))
        return bool(cosine > np.cos(0.2) and abs(state.qvel[0]) < 1.0)

    def dynamics(self) -> Dynamics:
        """The pendulum's equation of motion."""
        from gpc_studio.scenes.pendulum.dynamics import PendulumDynamics

        return PendulumDynamics()

    def _angle_cost(self, state: State) -> Array:
        import jax.numpy as jnp

        cosine, _ = _error(state, jnp.cos(state.qpos[0]), jnp.sin(state.qpos[0]))
        return 2.0 - 2.0 * cosine


def _error(state: State, cosine: Array, sine: Array) -> tuple[Array, Array]:
    """Cosine and sine of the angle from the goal, given those of the angle from hanging."""
    w, _, y, _ = state.mocap_quat[0]
    goal_cosine, goal_sine = w * w - y * y, -2.0 * w * y  # the hinge's axis is -y
    return (
        cosine * goal_cosine + sine * goal_sine,
        sine * goal_cosine - cosine * goal_sine,
    )
