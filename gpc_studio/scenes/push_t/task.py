"""Push-T: push a T-shaped block into a goal pose."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gpc_studio.scenes.push_t.coverage import coverage, footprint, largest_offset
from gpc_studio.scenes.state import Array, InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Mirror, Randomisation, Task, Weight

if TYPE_CHECKING:
    from shapely import Polygon

    from gpc_studio.scenes.planar_push import PlanarPushDynamics

SUCCESS_COVERAGE = 0.9
"""Share of the goal's area that the block must cover."""

PUSHER_CLEARANCE = 0.04
"""Least distance from the pusher's centre to the block at the start: its radius and 1 cm, m."""


class PushT(Task):
    """Push a T into a goal pose with a round, position-controlled pusher.

    The T and the success measure are those of Florence et al., "Implicit Behavioral Cloning"
    (2021) and Chi et al., "Diffusion Policy" (2023): at least 90 % of the goal's area covered.
    Table friction is viscous damping, so that a rollout needs no contact with the table.
    """

    name = "push_t"
    title = "Push-T"
    summary = "Push a T-shaped block onto its goal pose with a round pusher."
    mjcf = "push_t.xml"
    weights: ClassVar[Mapping[str, Weight]] = {
        "position": Weight(1.0, 10.0, "Distance of the block from the goal, m."),
        "yaw": Weight(0.1, 1.0, "Angle of the block from the goal, rad."),
        "reach": Weight(0.05, 1.0, "Distance of the pusher from the block, m."),
        "speed": Weight(0.005, 0.5, "Speed of the pusher, m/s."),
        "final_position": Weight(18.0, 100.0, "As position, at the end of the horizon."),
        "final_yaw": Weight(1.8, 10.0, "As yaw, at the end of the horizon."),
    }
    traces = ("pusher", "block")
    goal = Goal(
        "goal", translate=("x", "y"), rotate=("z",), low=(-0.4, -0.4, 0.0), high=(0.4, 0.4, 0.0)
    )
    randomisations = (
        Randomisation("pair_friction", 0.4, 2.0, columns=(0, 1), help="Friction of the pusher"),
        Randomisation("body_mass", 0.5, 2.0, names=("block",), help="Mass of the block"),
        Randomisation("body_inertia", 0.5, 2.0, names=("block",), help="Inertia of the block"),
        Randomisation(
            "dof_damping", 0.5, 2.0, names=("block_x", "block_y", "block_yaw"), help="Table drag"
        ),
    )
    success_hold = 0.0
    episode_seconds = 25.0
    camera = Camera(position=(0.0, -1.05, 1.3), look_at=(0.0, -0.05, 0.0))
    boxes: ClassVar[tuple[str, ...]] = ("bar", "stem")
    """Geoms that make up the block."""
    mirror = Mirror(observation=(-1, 1, -1, 1, 1, -1), control=(-1, 1))
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "*": {
            "samples": 32, "horizon": 3.0, "knots": 4, "spline": "cubic", "rate": 10.0,
            "execute": "best", "noise": 0.12, "ramp": 2.5, "temperature": 0.003,
        },
        "cem": {"noise": 0.25, "noise_max": 0.5, "patience": 8, "centre": "best"},
    }  # fmt: skip
    training: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "gpc": {
            "width": 256, "layers": 3, "history": True, "iterations": 20, "plans": 60,
            "gaussian_samples": 24, "policy_samples": 8, "minibatch": 512, "epochs": 30.0,
        },
        "offline": {"width": 256, "layers": 3, "steps": 10_000},
        "collect": {"samples": 64, "iterations": 4, "episodes": 256},
    }  # fmt: skip

    def cost_terms(self, state: State, control: Array) -> dict[str, Array]:
        """See `Task.cost_terms`."""
        import jax.numpy as jnp

        pusher, block = state.qpos[:2], state.qpos[2:4]
        return {
            "position": jnp.linalg.norm(block - state.mocap_pos[0, :2]),
            "yaw": _yaw_distance(state),
            "reach": jnp.linalg.norm(pusher - block),
            "speed": jnp.linalg.norm(state.qvel[:2]),
        }

    def terminal_terms(self, state: State) -> dict[str, Array]:
        """See `Task.terminal_terms`."""
        import jax.numpy as jnp

        return {
            "final_position": jnp.linalg.norm(state.qpos[2:4] - state.mocap_pos[0, :2]),
            "final_yaw": _yaw_distance(state),
        }

    def observe(self, state: State) -> Array:
        """Pusher xy and block xy in the goal's frame, m, cosine and sine of the yaw error (6,)."""
        import jax.numpy as jnp

        pusher, block = self.to_policy_frame(state, state.qpos[:4].reshape(2, 2))
        return jnp.concatenate([pusher, block, jnp.stack(_yaw_error(state))])

    def to_policy_frame(self, state: State, controls: Array) -> Array:
        """Positions of the pusher in the goal's frame, m (..., 2)."""
        return (controls - state.mocap_pos[0, :2]) @ _goal_rotation(state)

    def from_policy_frame(self, state: State, controls: Array) -> Array:
        """Positions of the pusher in the world frame, m (..., 2)."""
        return controls @ _goal_rotation(state).T + state.mocap_pos[0, :2]

    @cached_property
    def policy_range(self) -> np.ndarray:
        """The square of the actuators turned by any angle about the goal's default place (2, 2)."""
        return np.sqrt(2.0) * self.control_range

    def dynamics(self) -> PlanarPushDynamics:
        """The planar equations of motion, with MuJoCo's contact model."""
        from gpc_studio.scenes.planar_push import PlanarPushDynamics

        return PlanarPushDynamics(self.boxes)

    def hold_control(self, state: State) -> Array:
        """The servos hold the pusher where it is (2,)."""
        import jax.numpy as jnp

        return jnp.clip(state.qpos[:2], *self.control_range)

    def reset(self, rng: np.random.Generator) -> InitialState:
        """Pusher within +-0.4 m, block within +-0.3 m at any yaw, not touching; all at rest."""
        from shapely import Point

        while True:
            pusher = rng.uniform(-0.4, 0.4, size=2)
            block, yaw = rng.uniform(-0.3, 0.3, size=2), rng.uniform(-np.pi, np.pi)
            cosine, sine = np.cos(yaw), np.sin(yaw)
            pusher_in_block = np.array([[cosine, sine], [-sine, cosine]]) @ (pusher - block)
            if self.footprint.distance(Point(*pusher_in_block)) > PUSHER_CLEARANCE:
                return InitialState(
                    qpos=np.concatenate([pusher, block, [yaw]]), qvel=np.zeros(self.model.nv)
                )

    def is_success(self, state: State) -> bool:
        """The block covers at least 90 % of the goal."""
        offset = np.hypot(*(state.qpos[2:4] - state.mocap_pos[0, :2]))
        return bool(offset <= self._reach and self.coverage(state) >= SUCCESS_COVERAGE)

    def progress(self, state: State) -> dict[str, float]:
        """Share of the goal that the block covers."""
        return {"coverage": self.coverage(state)}

    def coverage(self, state: State) -> float:
        """Share of the goal's area that the block covers, 0 to 1."""
        x, y, yaw = (float(value) for value in state.qpos[2:5])
        goal_x, goal_y = (float(value) for value in state.mocap_pos[0, :2])
        w, _, _, z = (float(value) for value in state.mocap_quat[0])
        goal_yaw = 2.0 * np.arctan2(z, w)
        return coverage(self.footprint, (x, y, yaw), (goal_x, goal_y, goal_yaw))

    @cached_property
    def footprint(self) -> Polygon:
        """Outline of the block in its own frame, m."""
        return footprint(self.model, self.boxes)

    @cached_property
    def _reach(self) -> float:
        return largest_offset(self.footprint, SUCCESS_COVERAGE)


def _goal_direction(state: State) -> tuple[Array, Array]:
    """Cosine and sine of the goal's yaw."""
    w, z = state.mocap_quat[0, 0], state.mocap_quat[0, 3]
    return w * w - z * z, 2.0 * w * z


def _goal_rotation(state: State) -> Array:
    """Matrix that turns vectors from the goal's frame into the world's (2, 2)."""
    import jax.numpy as jnp

    cosine, sine = _goal_direction(state)
    return jnp.stack([jnp.stack([cosine, -sine]), jnp.stack([sine, cosine])])


def _yaw_error(state: State) -> tuple[Array, Array]:
    """Cosine and sine of the block's yaw from the goal."""
    import jax.numpy as jnp

    goal_cosine, goal_sine = _goal_direction(state)
    cosine, sine = jnp.cos(state.qpos[4]), jnp.sin(state.qpos[4])
    return cosine * goal_cosine + sine * goal_sine, sine * goal_cosine - cosine * goal_sine


def _yaw_distance(state: State) -> Array:
    """Angle between the block and the goal, 0 to pi rad.

    By wrapping the difference: the arc tangent of `_yaw_error` would cost as much as all else.
    """
    import jax.numpy as jnp

    goal_yaw = 2.0 * jnp.arctan2(state.mocap_quat[0, 3], state.mocap_quat[0, 0])
    error = state.qpos[4] - goal_yaw
    return jnp.abs(error - 2.0 * np.pi * jnp.round(error / (2.0 * np.pi)))
