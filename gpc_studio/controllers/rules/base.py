"""What an update rule is: how costs move the sampling distribution."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from gpc_studio.controllers.options import EXECUTE, PlanningOptions, options_pytree
from gpc_studio.options import option
from gpc_studio.scenes.state import Array


class Distribution(NamedTuple):
    """Sampling distribution of one episode, in actuator units.

    Attributes:
        mean: Knots in the middle (K, nu).
        std: Standard deviation (K, nu).
        extra: Whatever else a rule remembers from plan to plan: a pytree of arrays, or ().
    """

    mean: Array
    std: Array
    extra: Any = ()


class Candidates(NamedTuple):
    """What was rolled out.

    Attributes:
        knots: Inside the limits, actuator units (N, K, nu).
        source: `Source` of every candidate (N,).
        latents: Latents that the knots were made from (N, L), or None.
    """

    knots: Array
    source: Array
    latents: Array | None


@options_pytree
@dataclass(frozen=True)
class GaussianOptions(PlanningOptions):
    """Options of rules that sample around the mean with a fixed deviation."""

    execute: str = option(
        "mean", choices=EXECUTE, group="Plan",
        help="Whether the mean of the distribution or the best sample is executed.",
    )  # fmt: skip
    noise: float = option(
        0.3, min=0.01, max=2.0, step=0.01, unit="of range", group="Sampling",
        help="Standard deviation of the samples, as a fraction of half the actuator range.",
    )  # fmt: skip
    ramp: float = option(
        1.0, min=1.0, max=5.0, step=0.1, group="Sampling",
        help="Standard deviation at the last knot over that at the first.",
    )  # fmt: skip
    iterations: int = option(
        1, min=1, max=20, step=1, group="Sampling",
        help="Rounds of sampling and updating at every planning step.",
    )  # fmt: skip


class Rule(ABC):
    """An update rule: the weighting function, and what else it changes.

    Rules are written for one episode, are pure JAX and hold no state. Options arrive encoded (see
    `controllers.options.encoded`): numbers are traced, a choice is its index.
    """

    options_type: type[PlanningOptions]

    @abstractmethod
    def weigh(self, cost: Array, options: Any) -> Array:
        """Weights of the candidates, not normalised, not negative.

        Args:
            cost: Costs after risk (N,); +inf marks diverged candidates, of which at least one is
                not.
            options: Encoded options.

        Returns:
            (N,).
        """

    def start(self, mean: Array, scale: Array, options: Any) -> Distribution:
        """The distribution of an episode's first plan, around `mean` (K, nu)."""
        first = Distribution(mean, jnp.zeros_like(mean))
        return first._replace(std=self.spread(first, scale, options, jnp.zeros(())))

    def spread(
        self, distribution: Distribution, scale: Array, options: Any, iteration: Array
    ) -> Array:
        """Standard deviation of the samples to draw.

        Args:
            distribution: The distribution.
            scale: Half the actuator range (nu,).
            options: Encoded options.
            iteration: Number of the iteration within this plan, from 0, traced.

        Returns:
            (K, nu).
        """
        del iteration
        knots = distribution.mean.shape[0]
        return options.noise * profile(knots, options.ramp) * scale

    def admit(
        self,
        key: Array,
        distribution: Distribution,
        candidates: Candidates,
        *,
        scale: Array,
        options: Any,
    ) -> Candidates:
        """The candidates to roll out, of those that were drawn: all of them, as they are.

        A rule that replaces some gives them the source of what they are then.

        Args:
            key: PRNG key.
            distribution: The distribution, its mean shifted to now.
            candidates: What the proposals drew.
            scale: Half the actuator range (nu,).
            options: Encoded options.
        """
        del key, distribution, scale, options
        return candidates

    def update(
        self,
        distribution: Distribution,
        candidates: Candidates,
        cost: Array,
        *,
        scale: Array,
        options: Any,
        iteration: Array,
    ) -> tuple[Distribution, Array]:
        """The distribution after seeing the costs, and the candidates' shares in it (N,)."""
        weight = self.shares(cost, options)
        mean = weighted_mean(weight, candidates.knots)
        std = self.spread(distribution, scale, options, iteration)
        return distribution._replace(mean=mean, std=std), weight

    def shares(self, cost: Array, options: Any) -> Array:
        """Normalised weights (N,): zero for diverged candidates, sum 1.

        When every candidate diverged, the first, the previous plan, has them all.
        """
        finite = jnp.isfinite(cost)
        raw = jnp.where(finite, self.weigh(cost, options), 0.0)
        previous = jnp.arange(cost.shape[0]) == 0
        raw = jnp.where(jnp.any(finite), raw, previous.astype(raw.dtype))
        return raw / jnp.sum(raw)


def excess(cost: Array) -> Array:
    """Costs above the lowest, so that a constant added to all of them changes nothing (N,)."""
    return cost - jnp.min(cost)


def weighted_mean(weight: Array, values: Array) -> Array:
    """`sum_i weight_i values_i`: (N,), (N, ...) -> (...)."""
    return jnp.tensordot(weight, values, axes=1)


def profile(knots: int, ramp: Array) -> Array:
    """Growth of the deviation along the horizon, from 1 to `ramp` (K, 1)."""
    return 1.0 + (ramp - 1.0) * jnp.linspace(0.0, 1.0, knots)[:, None]
