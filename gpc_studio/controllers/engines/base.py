"""What a rollout engine is, and what it returns."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from gpc_studio.scenes.state import Array, State


class Rollouts(NamedTuple):
    """Trajectories of E episodes in D domains for N candidates over T steps, float32.

    Row k is the state at `time + k * dt`; the sensors in it are those of that very state. An
    engine whose `samples_last` is true returns the trajectories with the samples as last axis,
    (E, D, T+1, nq, N) and so on, as it computed them: `by_sample` is the view for people.

    Attributes:
        qpos: (E, D, N, T+1, nq).
        qvel: (E, D, N, T+1, nv).
        act: (E, D, N, T+1, na).
        sensordata: (E, D, N, T+1, nsensordata).
        ok: Whether the physics stayed sound to the end (E, D, N).
    """

    qpos: Array
    qvel: Array
    act: Array
    sensordata: Array
    ok: Array


def by_sample(values: np.ndarray, samples_last: bool) -> np.ndarray:
    """A view (E, D, N, T+1, ...) of trajectories in either layout."""
    return np.moveaxis(values, -1, 2) if samples_last else values


class Engine(Protocol):
    """Rolls out candidate controls.

    Attributes:
        samples_last: Layout of the trajectories, see `Rollouts`.
    """

    samples_last: bool

    def rollout(self, state: State, controls: Array) -> Rollouts:
        """Trajectories from one state an episode.

        Args:
            state: NumPy arrays with a leading axis E.
            controls: Controls of every candidate, within the limits (E, N, T, nu).

        Returns:
            Arrays of NumPy or JAX, owned by the caller: a later call does not write to them.
        """
        ...

    def run(self) -> object:
        """The bare rollout again, from the last states with the last controls, for timing."""
        ...

    def close(self) -> None:
        """Releases threads and memory."""
        ...
