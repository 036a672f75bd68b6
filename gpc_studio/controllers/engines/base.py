"""What a rollout engine is, and what it returns."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gpc_studio.scenes.state import Array, State


class Rollouts(NamedTuple):
    """Trajectories of E episodes in D domains for N candidates over T steps, float32.

    Row k is the state at `time + k * dt`; the sensors in it are those of that very state.

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
