"""What a rollout engine is, and what it returns."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from gpc_studio.scenes.state import Array, State


class Rollouts(NamedTuple):
    """Trajectories of E episodes in D domains for N candidates over T steps, float32.

    Row k is the state at `time + k * dt`; the sensors in it are those of that very state. The
    samples are the last axis, so that every number of a state is one contiguous vector over the
    samples: costs are several times faster so. `by_sample` is the view for people.

    Attributes:
        qpos: (E, D, T+1, nq, N).
        qvel: (E, D, T+1, nv, N).
        act: (E, D, T+1, na, N).
        sensordata: (E, D, T+1, nsensordata, N).
        ok: Whether the physics stayed sound to the end (E, D, N).
    """

    qpos: Array
    qvel: Array
    act: Array
    sensordata: Array
    ok: Array


def by_sample(values: np.ndarray) -> np.ndarray:
    """A view (E, D, N, T+1, ...) of trajectories."""
    return values.transpose(0, 1, 4, 2, 3)


class Engine(Protocol):
    """Rolls out candidate controls."""

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
