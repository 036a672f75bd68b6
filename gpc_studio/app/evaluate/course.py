"""Episodes of a fixed length, and what is measured at every step of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gpc_studio.app.evaluate.starts import EpisodeStart, episode_starts
from gpc_studio.scenes.state import State

if TYPE_CHECKING:
    from gpc_studio.scenes.plant import Advance
    from gpc_studio.scenes.task import Task

StepValues = Callable[[State, np.ndarray], np.ndarray]
"""Values of every step: states (E, P + 1, ...), controls (E, P, nu) -> (E, P, m).

Step k leads from state k to state k + 1 under control k. Mocap poses have no step axis.
"""


@dataclass(frozen=True)
class Measure(ABC):
    """What is measured of an episode besides its success.

    A frozen dataclass whose fields are plain values: it is sent to other processes, and results of
    other fields are told apart.
    """

    @abstractmethod
    def values(self, task: Task) -> StepValues:
        """What is taken down at every step."""

    @abstractmethod
    def figures(self, values: np.ndarray, dt: float) -> dict[str, Any]:
        """What is kept of an episode: numbers, lists of numbers, or None where there is none.

        Args:
            values: Those of all its steps (n, m).
            dt: Time of a step, s.
        """


@dataclass(frozen=True)
class Course:
    """Episodes that success does not end.

    Attributes:
        measure: What is measured.
        lengths: Steps of the episodes that make up one trial, each from a random state.
    """

    measure: Measure
    lengths: tuple[int, ...]

    def starts(self, seed: int, trials: int) -> list[EpisodeStart]:
        """Starts of all episodes, those of one trial next to each other."""
        many = episode_starts(seed, trials * len(self.lengths))
        return [replace(e, steps=self.lengths[e.index % len(self.lengths)]) for e in many]

    def settings(self) -> dict[str, Any]:
        """What results depend on."""
        measure = {"name": type(self.measure).__name__, **asdict(self.measure)}
        return {"measure": measure, "lengths": list(self.lengths)}


def stepwise(function: Callable[[State, State, Any], Any]) -> StepValues:
    """Values of one step, vectorised over steps and episodes.

    Args:
        function: Pure JAX: state before the step, state after it, control (nu,) -> (m,).
    """
    import jax

    fixed = ("mocap_pos", "mocap_quat")
    axes = State(**{name: None if name in fixed else 0 for name in State._fields})
    compiled = jax.jit(jax.vmap(jax.vmap(function, (axes, axes, 0))))

    def values(states: State, controls: np.ndarray) -> np.ndarray:
        moving = {name: getattr(states, name) for name in State._fields if name not in fixed}
        before = states._replace(**{name: part[:, :-1] for name, part in moving.items()})
        after = states._replace(**{name: part[:, 1:] for name, part in moving.items()})
        return np.asarray(compiled(before, after, controls), np.float64)

    return values


def along(state: State, advance: Advance) -> State:
    """The states of one period, from the first before it to its last: (E, P + 1, ...)."""

    def both(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return np.concatenate([before[:, None], after], axis=1)

    after = advance.states
    moving: Sequence[str] = ("time", "qpos", "qvel", "act", "sensordata")
    return state._replace(**{n: both(getattr(state, n), getattr(after, n)) for n in moving})
