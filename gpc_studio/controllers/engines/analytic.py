"""The analytic engine: a task's own JAX dynamics, vectorised over samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers.engines.base import Rollouts
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco

    from gpc_studio.scenes.dynamics import Dynamics


class AnalyticEngine:
    """Rollouts with `Task.dynamics()` in one compiled function.

    Samples are the last axis throughout, so that every number of the state is one contiguous
    vector over the samples; putting them first would cost more than the physics.
    """

    def __init__(self, dynamics: Dynamics, models: list[mujoco.MjModel]) -> None:
        """Reads the physical parameters of every domain.

        Args:
            dynamics: The task's dynamics.
            models: Model of every domain (D,).
        """
        each = [dynamics.parameters(model) for model in models]
        self._parameters = jax.tree.map(lambda *values: jnp.asarray(np.stack(values)), *each)
        self._dt = models[0].opt.timestep
        self._dynamics = dynamics
        self._rollout = jax.jit(self._trace)
        self._last: tuple[Any, ...] = ()

    def rollout(self, state: State, controls: Array) -> Rollouts:
        """See `Engine.rollout`."""
        numbers = State(*(np.asarray(value, np.float32) for value in state))
        self._last = (self._parameters, numbers, controls)
        return self.run()

    def run(self) -> Rollouts:
        """The bare rollout again, from the last states with the last controls, for timing."""
        return jax.block_until_ready(self._rollout(*self._last))

    def close(self) -> None:
        """Drops the last inputs."""
        self._last = ()

    def _trace(self, parameters: Any, state: State, controls: Array) -> Rollouts:
        """Rollouts of all episodes: (E, ...), (E, N, T, nu)."""
        over_domains = jax.vmap(self._domain, in_axes=(0, None, None))
        over_episodes = jax.vmap(over_domains, in_axes=(None, 0, 0))
        qpos, qvel, sensordata = over_episodes(parameters, state, controls)
        episodes, many, length, _, samples = qpos.shape
        return Rollouts(
            qpos=qpos,
            qvel=qvel,
            act=jnp.zeros((episodes, many, length, 0, samples)),
            sensordata=sensordata,
            ok=jnp.isfinite(qpos[:, :, -1]).all(-2) & jnp.isfinite(qvel[:, :, -1]).all(-2),
        )

    def _domain(self, parameters: Any, state: State, controls: Array) -> tuple[Array, ...]:
        """One episode in one domain: controls (N, T, nu) -> (T+1, nq, N), ..."""
        samples, steps, _ = controls.shape
        advance = jax.vmap(self._dynamics.step, in_axes=(None, -1, -1, -1), out_axes=-1)

        def step(carry: tuple[Array, Array], control: Array) -> tuple[Any, Any]:
            carry = advance(parameters, *carry, control)
            return carry, carry

        first = tuple(
            jnp.broadcast_to(value[:, None], (value.shape[0], samples))
            for value in (state.qpos, state.qvel)
        )
        _, later = jax.lax.scan(step, first, jnp.moveaxis(controls, 0, -1))
        qpos, qvel = (
            jnp.concatenate([start[None], rest])  # (T+1, nq, N)
            for start, rest in zip(first, later, strict=True)
        )
        times = state.time + self._dt * jnp.arange(steps + 1)

        def sense(time: Array, qpos: Array, qvel: Array) -> Array:
            return self._dynamics.sensors(
                parameters, state._replace(time=time, qpos=qpos, qvel=qvel)
            )

        over_samples = jax.vmap(sense, in_axes=(None, -1, -1), out_axes=-1)
        return qpos, qvel, jax.vmap(over_samples)(times, qpos, qvel)
