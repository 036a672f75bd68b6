"""Plain MuJoCo for several episodes at once, with sensors that are current at every state."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from gpc_studio.scenes.mujoco_log import keep_mujoco_quiet
from gpc_studio.scenes.state import InitialState, State

_TIME = mujoco.mjtState.mjSTATE_TIME.value
_RECORDED = ("qpos", "qvel", "act", "sensordata")


class Advance(NamedTuple):
    """States after each step of one replanning period.

    Attributes:
        states: The states reached, sensors current, shape (E, period, ...); mocap poses (E, ...).
        diverged: Step after which the simulation could not go on, or `period`, shape (E,) int.
    """

    states: State
    diverged: np.ndarray


class Plant:
    """E simulations of one model, each stepped exactly as a loop over `mj_step` would.

    `mj_step` leaves the sensors of the state before the step. Readings of a state are therefore
    taken from the step that starts at it, and those of the last state from a second set of
    simulations, since `mj_forward` on the first would change the solver's warm start.
    """

    def __init__(self, model: mujoco.MjModel, episodes: int, threads: int) -> None:
        """Makes the simulations.

        Args:
            model: The model of the plant.
            episodes: Number of simulations E.
            threads: Threads that step them; 0 takes one a core.
        """
        keep_mujoco_quiet()
        self._model = model
        self._data = mujoco.MjData(model)
        self._batch = Batch(model, episodes, threads)
        self._observer = Batch(model, episodes, threads)
        self._readings = self._observer.bind("sensordata") if model.nsensordata else None
        self._fields = {name: self._batch.bind(name) for name in ("qpos", "qvel", "act")}
        self._mocap = (self._batch.bind("mocap_pos"), self._batch.bind("mocap_quat"))

    def place(self, episode: int, start: InitialState | None) -> None:
        """Puts one simulation at a start state, or at the model's default."""
        data = self._data
        mujoco.mj_resetData(self._model, data)
        if start is not None:
            data.qpos[:], data.qvel[:] = start.qpos, start.qvel
            if start.mocap_pos is not None:
                data.mocap_pos[:] = start.mocap_pos
            if start.mocap_quat is not None:
                data.mocap_quat[:] = start.mocap_quat
        spec = mujoco.mjtState.mjSTATE_INTEGRATION.value
        mujoco.mj_getState(self._model, data, self._batch.state[episode], spec)

    def observe(self) -> State:
        """The states now, sensors current, shape (E, ...)."""
        readings = self._read_sensors()
        fields = {name: view.copy() for name, view in self._fields.items()}
        mocap_pos, mocap_quat = (view.copy() for view in self._mocap)
        return State(
            time=self._batch.bind("time").copy(),
            sensordata=readings,
            mocap_pos=mocap_pos,
            mocap_quat=mocap_quat,
            **fields,
        )

    def advance(self, controls: np.ndarray) -> Advance:
        """Steps all simulations.

        Args:
            controls: Controls of every step, actuator units (E, period, nu).
        """
        episodes, period = controls.shape[:2]
        before = self._batch.bind("time").copy()
        # A simulation that goes wrong is reset, counters included, so only counts from zero tell.
        self._batch.warning[:] = 0
        names = [name for name in _RECORDED if self._width(name)]
        records = {name: np.zeros((episodes, period, self._width(name))) for name in names} | {
            _TIME: np.zeros((episodes, period, 1))
        }
        # A simulation that raised is one whose clock stands still.
        with contextlib.suppress(SimulationError):
            self._batch.rollout(period, controls, record=list(records), out=records)
        paths = {
            name: records[name] if name in names else np.zeros((episodes, period, 0))
            for name in _RECORDED
        }
        # Row k was read at the state before step k: move each reading to its own state.
        sensordata = np.empty_like(paths["sensordata"])
        sensordata[:, :-1] = paths["sensordata"][:, 1:]
        sensordata[:, -1] = self._read_sensors()
        mocap_pos, mocap_quat = (view.copy() for view in self._mocap)
        time = records[_TIME][:, :, 0]
        states = State(
            time=time, qpos=paths["qpos"], qvel=paths["qvel"], act=paths["act"],
            sensordata=sensordata, mocap_pos=mocap_pos, mocap_quat=mocap_quat,
        )  # fmt: skip
        warned = self._batch.warning[:, :, 1].any(axis=1)
        return Advance(states, _diverged(states, before, warned))

    def _read_sensors(self) -> np.ndarray:
        if self._readings is None:
            return np.zeros((self._batch.nsim, 0))
        self._observer.state[:] = self._batch.state
        self._observer.forward()
        return self._readings.copy()

    def _width(self, name: str) -> int:
        return getattr(self._data, name).size


def one_state(states: State, episode: int, step: int | None = None) -> State:
    """The state of one episode, at one step if there are several."""
    if step is None:
        return State(*(part[episode] for part in states))
    moving = {name: getattr(states, name)[episode, step] for name in ("time", *_RECORDED)}
    fixed = {name: getattr(states, name)[episode] for name in ("mocap_pos", "mocap_quat")}
    return State(**moving, **fixed)


def _diverged(states: State, before: np.ndarray, warned: np.ndarray) -> np.ndarray:
    """First step whose state is not to be trusted: not finite, or the clock did not go on."""
    period = states.time.shape[1]
    finite = np.isfinite(states.qpos).all(axis=-1) & np.isfinite(states.qvel).all(axis=-1)
    moving = np.diff(states.time, axis=1, prepend=before[:, None]) > 0
    bad = ~(finite & moving)
    first = np.where(bad.any(axis=1), bad.argmax(axis=1), period)
    return np.where(warned, np.minimum(first, period - 1), first)
