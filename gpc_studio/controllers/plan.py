"""What one planning step produces."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from gpc_studio.scenes.state import Array


class Source(IntEnum):
    """Proposal that a sample came from; it travels with the sample to the screen."""

    PREVIOUS = 0
    GAUSSIAN = 1
    FLOW = 2

    @property
    def title(self) -> str:
        """Name that people see."""
        return {0: "Previous plan", 1: "Gaussian noise", 2: "Flow policy"}[int(self)]


class Plan(NamedTuple):
    """Result of one planning step for one episode (leading axis E when batched).

    K knots, nu actuators, N samples, T steps, D domains, S traced points. Knots and controls are
    in actuator units, positions in the world frame in metres, times in seconds.

    Attributes:
        time: Simulation time of the state planned from, ().
        knot_times: Absolute times of the knots (K,).
        knots: Candidate knots (N, K, nu).
        source: `Source` of every candidate (N,) int.
        cost: Cost of every candidate after risk (N,); non-finite rollouts count as +inf. Not a
            number, as all that follows from costs, where a controller acts without rollouts.
        cost_terms: Weighted cost terms, averaged over domains (N, n_terms), in the order of
            `Task.weights`.
        weight: Share of every candidate in the update, sums to 1 (N,).
        domain_cost: Cost per domain (D, N).
        mean: Mean of the distribution after the update (K, nu).
        std: Standard deviation of the distribution after the update (K, nu).
        executed: Knots to execute (K, nu).
        controls: Spline through `executed` at `time + k * dt`, clipped to the limits (T, nu); the
            plant applies these and holds the last.
        best: Index of the cheapest candidate, ().
        latents: Latents of the candidates (N, L), or None.
        traces: Paths of the traced points in the nominal domain (N, T+1, S, 3), float32; N is 0
            where nothing was rolled out.
        qpos: Positions along every rollout in the nominal domain (N, T+1, nq); for ghosts; N as for
            `traces`.
    """

    time: Array
    knot_times: Array
    knots: Array
    source: Array
    cost: Array
    cost_terms: Array
    weight: Array
    domain_cost: Array
    mean: Array
    std: Array
    executed: Array
    controls: Array
    best: Array
    latents: Array | None
    traces: Array
    qpos: Array

    @property
    def rolled_out(self) -> bool:
        """Whether there are rollouts, and costs."""
        return self.traces.shape[-4] > 0


class PlanTiming(NamedTuple):
    """Wall time of one planning step and of its parts, s.

    The parts follow one another without a gap, and each ends when its results are there.
    """

    propose: float
    rollout: float
    cost: float
    update: float

    @property
    def total(self) -> float:
        """The whole step, s."""
        return self.propose + self.rollout + self.cost + self.update


def elites(weight: np.ndarray) -> np.ndarray:
    """Which samples have more than none and at least an equal share of the update (N,).

    Under a rule that picks some samples and weighs them alike, these are the ones picked. Under
    one that weighs all, as MPPI does, they are those that matter.
    """
    weight = np.asarray(weight)
    return (weight > 0) & (weight >= (1.0 - 1e-4) / max(len(weight), 1))
