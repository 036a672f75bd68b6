"""The analytic engine: a task's own JAX dynamics, vectorised over samples."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers.engines.base import Rollouts
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco

    from gpc_studio.scenes.dynamics import Dynamics

_LINE = 16  # float32 numbers in a line of the cache
_PAGE = 512  # half a page of 4 KiB: vectors of this length or its multiples collide


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
        """Drops the last inputs and the compiled code, which refers to this object."""
        self.__dict__.pop("_rollout", None)
        self._last = ()

    def _trace(self, parameters: Any, state: State, controls: Array) -> Rollouts:
        """Rollouts of all episodes: (E, ...), (E, N, T, nu).

        Every coordinate is carried through the time steps as a vector of its own, and written
        once, to its place in the trajectories: XLA copies what is stacked only to be taken apart.
        """
        episodes, samples, steps, _ = controls.shape
        width = samples + _padding(samples)
        padded = jnp.pad(controls, ((0, 0), (0, width - samples), (0, 0), (0, 0)))
        commands = jnp.transpose(padded, (2, 3, 0, 1))  # (T, nu, E, N)
        many = jax.tree.leaves(parameters)[0].shape[0]
        times = state.time + self._dt * jnp.arange(steps + 1)[:, None]  # (T+1, E)
        advance, sense = self._vectorised(parameters, state)

        def rows(values: Array) -> list[Array]:
            """One vector (E, D, N) a coordinate, from start values (E, n)."""
            each = jnp.asarray(values).T[:, :, None, None]
            return [jnp.broadcast_to(row, (episodes, many, width)) for row in each]

        def record(paths: list[Array], row: Array, qpos: list[Array], qvel: list[Array]) -> Any:
            sensordata = sense(times[row], jnp.stack(qpos), jnp.stack(qvel))
            for number, values in enumerate((qpos, qvel, sensordata)):
                for place, vector in enumerate(values):
                    # The samples that fill up the vectors are not written.
                    written = vector[:, :, None, None, :samples].astype(jnp.float32)
                    where = (0, 0, row, place, 0)
                    paths[number] = jax.lax.dynamic_update_slice(paths[number], written, where)
            return paths

        def step(number: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
            qpos, qvel, paths = carry
            # The state before the step is in memory by now; the one after it is not, and would be
            # computed once for every number that is recorded of it.
            paths = record(list(paths), number, qpos, qvel)
            qpos, qvel = advance(jnp.stack(qpos), jnp.stack(qvel), commands[number])
            return list(qpos), list(qvel), paths

        qpos, qvel = rows(state.qpos), rows(state.qvel)
        sizes = len(qpos), len(qvel), state.sensordata.shape[-1]
        empty = [jnp.zeros((episodes, many, steps + 1, size, samples)) for size in sizes]
        qpos, qvel, paths = jax.lax.fori_loop(0, steps, step, (qpos, qvel, empty))
        paths = record(list(paths), steps, qpos, qvel)
        ok = jnp.stack([jnp.isfinite(row) for row in (*qpos, *qvel)]).all(0)
        return Rollouts(
            qpos=paths[0],
            qvel=paths[1],
            act=jnp.zeros((episodes, many, steps + 1, 0, samples)),
            sensordata=paths[2],
            ok=ok[..., :samples],
        )

    def _vectorised(self, parameters: Any, state: State) -> tuple[Any, Any]:
        """The dynamics for all episodes, domains and samples: arrays (n, E, D, N).

        The first takes positions, velocities and controls (nu, E, N), the second the times (E,),
        positions and velocities.
        """

        def sense(parameters: Any, state: State, time: Array, qpos: Array, qvel: Array) -> Array:
            now = state._replace(time=time, qpos=qpos, qvel=qvel)
            return self._dynamics.sensors(parameters, now)

        advance = jax.vmap(self._dynamics.step, (None, -1, -1, -1), -1)
        advance = jax.vmap(advance, (0, 1, 1, None), 1)
        advance = jax.vmap(advance, (None, 1, 1, 1), 1)
        over_samples = jax.vmap(sense, (None, None, None, -1, -1), -1)
        over_domains = jax.vmap(over_samples, (0, None, None, 1, 1), 1)
        over_episodes = jax.vmap(over_domains, (None, 0, 0, 1, 1), 1)
        return partial(advance, parameters), partial(over_episodes, parameters, state)


def _padding(samples: int) -> int:
    """Samples to add so that vectors do not lie whole pages apart.

    A cache finds a place for a number by the last 12 bits of its address. Vectors of 1024 samples
    would have equal ones, so that a handful of them drives all others out.
    """
    return _LINE if samples % _PAGE == 0 else 0
