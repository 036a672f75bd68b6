"""The native engine: MuJoCo's C code on a pool of threads."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gpc_studio.controllers.engines.base import Rollouts
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    import mujoco


_ALIGNMENT = 64  # bytes; JAX copies arrays on the CPU that are not aligned so


class NativeEngine:
    """Rollouts with `mujoco.batch.Batch`: one thread pool, preallocated outputs.

    Simulations are laid out as (E, D, N). Results are the same bits at any number of threads, and
    those of a loop over `mj_step` from a fresh `MjData` (solver warm start zero). The trajectories,
    which have to be copied into float32 anyway, are put in the order in which costs are fastest.
    """

    def __init__(
        self,
        models: list[mujoco.MjModel],
        episodes: int,
        samples: int,
        steps: int,
        threads: int = 0,
    ) -> None:
        """Starts the pool.

        Args:
            models: Model of every domain (D,).
            episodes: Episodes in the batch, E.
            samples: Candidates of an episode, N.
            steps: Controls of a candidate, T.
            threads: Threads of the pool; 0: as many as cores.
        """
        import mujoco
        import mujoco.batch

        model, domains = models[0], len(models)
        self._shape = (episodes, domains, samples)
        self._steps = steps
        # mj_step leaves the sensors of the state before it, so that the readings at the last
        # state need one step more.
        self._extra = 1 if model.nsensordata else 0
        count, length = episodes * domains * samples, steps + self._extra
        self._batch = mujoco.batch.Batch(model, nsim=count, nthread=threads)
        if domains > 1:
            per_simulation = np.broadcast_to(np.arange(domains)[:, None], (domains, samples))
            order = np.tile(per_simulation.ravel(), episodes)
            self._batch.set_models([models[d] for d in order])
        record = {"qpos": model.nq, "qvel": model.nv}
        record |= {"act": model.na} if model.na else {}
        record |= {"sensordata": model.nsensordata} if model.nsensordata else {}
        self._out = {name: np.zeros((count, length, width)) for name, width in record.items()}
        self._controls = np.zeros((*self._shape, length, model.nu))
        self._bare_controls, self._bare_out = np.empty(0), dict[str, np.ndarray]()
        self._default = self._batch.state[0].copy()  # the model's own state, inputs zero
        # Views of the rows: writing them sets the states that the next rollout starts from.
        self._initial = {
            name: view.reshape(episodes, domains * samples, *view.shape[1:])
            for name in ("time", "qpos", "qvel", "act", "mocap_pos", "mocap_quat")
            if (view := self._batch.bind(name)).size
        }
        self._failure = mujoco.batch.SimulationError
        self._state: State | None = None

    @property
    def threads(self) -> int:
        """Threads of the pool."""
        return self._batch.nthread

    def rollout(self, state: State, controls: Array) -> Rollouts:
        """See `Engine.rollout`."""
        steps = self._steps
        self._controls[..., :steps, :] = np.asarray(controls)[:, None]
        if self._extra:
            self._controls[..., steps, :] = self._controls[..., steps - 1, :]
        self._state = state
        self._roll_out(self._controls, self._out)
        # A warning (bad qpos, bad qacc, full contact arrays ...) ends a simulation: MuJoCo may
        # have reset it, so that its records look sound.
        ok = (self._batch.warning[:, :, 1].sum(axis=1) == 0) & (self._batch.status == 0)
        return Rollouts(
            qpos=self._states("qpos", state.qpos),
            qvel=self._states("qvel", state.qvel),
            act=self._states("act", state.act),
            sensordata=self._sensors(),
            ok=ok.reshape(self._shape),
        )

    def run(self) -> None:
        """The bare rollout again, from the last states with the last controls, for timing.

        It has no more than the T steps of the plan and its own arrays to record into.
        """
        if not self._bare_out:
            shapes = {
                name: (len(out), self._steps, out.shape[2]) for name, out in self._out.items()
            }
            self._bare_out = {name: np.zeros(shape) for name, shape in shapes.items()}
            self._bare_controls = np.zeros((*self._shape, self._steps, self._controls.shape[-1]))
        self._bare_controls[:] = self._controls[..., : self._steps, :]
        self._roll_out(self._bare_controls, self._bare_out)

    def _roll_out(self, controls: np.ndarray, out: dict[str, np.ndarray]) -> None:
        """Steps every simulation from the last states: (E, D, N, steps, nu) -> `out`."""
        count, steps = self._batch.nsim, controls.shape[-2]
        self._batch.state[:] = self._default
        for name, view in self._initial.items():
            view[:] = np.asarray(getattr(self._state, name))[:, None]
        self._batch.warning[:] = 0
        # `status` says which simulations failed; they count as diverged.
        with contextlib.suppress(self._failure):
            self._batch.rollout(
                steps, controls.reshape(count, steps, -1), record=tuple(out), out=cast("Any", out)
            )

    def close(self) -> None:
        """Drops the pool; its threads end with it."""
        self._initial = {}
        del self._batch

    def _states(self, name: str, first: np.ndarray) -> np.ndarray:
        """Recorded states with the initial one before them, float32 (E, D, T+1, width, N)."""
        states = self._empty(first.shape[-1])
        if name in self._out:
            states[:, :, 0] = np.asarray(first)[:, None, :, None]
            states[:, :, 1:] = self._recorded(name)[:, :, : self._steps]
        return states

    def _sensors(self) -> np.ndarray:
        """Readings at the states of `_states`, float32: row k was recorded by step k + 1."""
        if not self._extra:
            return self._empty(0)
        readings = self._recorded("sensordata")
        sensors = self._empty(readings.shape[3])
        sensors[:] = readings
        return sensors

    def _recorded(self, name: str) -> np.ndarray:
        """A record in float32, seen as (E, D, T + extra, width, N).

        The record lies in no cache. Reading it in its own order, and turning the smaller result
        around afterwards, takes less than half of the time that doing both at once takes.
        """
        record = self._out[name].astype(np.float32)
        return record.reshape(*self._shape, *record.shape[1:]).transpose(0, 1, 3, 4, 2)

    def _empty(self, width: int) -> np.ndarray:
        """An array (E, D, T+1, width, N) that JAX can read in place: it is aligned."""
        episodes, domains, samples = self._shape
        shape = (episodes, domains, self._steps + 1, width, samples)
        size = 4 * math.prod(shape)
        memory = np.empty(size + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        return memory[start : start + size].view(np.float32).reshape(shape)
