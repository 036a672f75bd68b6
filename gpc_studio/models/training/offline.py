"""Fitting a policy once, to a dataset of successful episodes.

The recipe of Brudermueller et al., "GPC-CEM" (arXiv 2510.14643), sec. IV-B and appendix A.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from gpc_studio.models.architecture import Architecture
from gpc_studio.models.flow_matching import Batch
from gpc_studio.models.policy import Normaliser, Policy, new_policy
from gpc_studio.models.training.dataset import Sequences
from gpc_studio.models.training.fit import Fit, FitState, examples_of, joined
from gpc_studio.models.training.options import OfflineOptions
from gpc_studio.models.training.recording import Recorded, mirrored, scaled

if TYPE_CHECKING:
    from gpc_studio.scenes.task import Task

MEASUREMENTS = 100
"""How often the loss is told over a training."""

Tick = Callable[[float], None]


class Measured(NamedTuple):
    """Losses at a step; the validation loss is that of the averaged weights, NaN without data.

    Attributes:
        step: Optimiser steps made.
        loss: Mean training loss since the last measurement.
        validation_loss: Loss on the episodes kept apart.
    """

    step: int
    loss: float
    validation_loss: float


class OfflineTraining:
    """Training of one policy on one dataset.

    Attributes:
        examples: Number of examples that are trained on, mirror images included.
        chunk: Optimiser steps between two measurements, which is also where a training can stop.
    """

    def __init__(
        self, task: Task, options: OfflineOptions, sequences: Sequences, *, seed: int
    ) -> None:
        """Splits and scales the data.

        Args:
            task: The task.
            options: Options of the training.
            sequences: The dataset.
            seed: Seed of the weights, of the minibatches and of the split.
        """
        first, steps = jax.random.split(jax.random.PRNGKey(seed))
        apart = _kept_apart(sequences.episode, options.validation, seed)
        self._training = _examples(task, _select(sequences, ~apart), mirror=options.mirror)
        self._validation = (
            _examples(task, _select(sequences, apart), mirror=False) if apart.any() else None
        )
        self._normaliser = Normaliser.of(
            np.asarray(self._training.observation), np.asarray(self._training.last_observation)
        )
        self.examples = len(self._training.knots)
        _, knots, controls = sequences.knots.shape
        architecture = Architecture.of(
            options, knots=knots, controls=controls, observation=sequences.observation.shape[1]
        )
        policy = new_policy(architecture, self._normaliser, first)
        self.total = options.steps
        self.chunk = max(1, -(-options.steps // MEASUREMENTS))
        self._fit = Fit(policy, options, options.steps, steps)

    def start(self) -> FitState:
        """The state before the first step."""
        return self._fit.start()

    def advance(self, state: FitState) -> tuple[FitState, Measured]:
        """Makes the optimiser steps up to the next measurement.

        Args:
            state: Given up: use the one returned.

        Raises:
            FloatingPointError: The loss is no longer finite.
        """
        steps = min(self.chunk, self.total - int(state.step))
        state, mean = self._fit.run(state, self._normaliser, self._training, steps)
        if not np.isfinite(mean):
            raise FloatingPointError(
                "the loss is not finite: try a smaller learning rate (--learning-rate)"
            )
        apart = float("nan")
        if self._validation is not None:
            apart = self._fit.measure(state, self._normaliser, self._validation)
        return state, Measured(int(state.step), mean, apart)

    def policy(self, state: FitState) -> Policy:
        """The policy at a state."""
        return self._fit.policy(state, self._normaliser)


def _kept_apart(episode: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which rows belong to episodes kept for validation, whole episodes at random (n,)."""
    indices = np.unique(episode)
    count = min(round(share * len(indices)), len(indices) - 1)
    chosen = np.random.default_rng([seed, len(indices)]).permutation(indices)[:count]
    return np.isin(episode, chosen)


def _examples(task: Task, sequences: Sequences, *, mirror: bool) -> Batch:
    recorded = Recorded(*(getattr(sequences, name) for name in Recorded._fields))
    if mirror and task.mirror is not None:
        recorded = joined(recorded, mirrored(task.mirror, recorded))
    return examples_of(recorded, lambda controls: scaled(task, controls))


def _select(sequences: Sequences, rows: np.ndarray) -> Sequences:
    return Sequences(*(value[rows] for value in sequences))
