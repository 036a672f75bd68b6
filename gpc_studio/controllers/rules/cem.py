"""CEM: mean and deviation of the elites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from gpc_studio.controllers.options import code, options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import (
    Candidates,
    Distribution,
    GaussianOptions,
    Rule,
    profile,
    weighted_mean,
)
from gpc_studio.options import option
from gpc_studio.scenes.state import Array

CENTRES = ("elites", "best")
_LONGEST_WAIT = 8.0  # times `patience`


@options_pytree
@dataclass(frozen=True)
class CEMOptions(GaussianOptions):
    """Options of CEM."""

    elites: int = option(
        4, min=1, max=1024, step=1, group="Rule",
        help="Cheapest samples that the distribution is fitted to.",
    )  # fmt: skip
    centre: str = option(
        "elites", choices=CENTRES, group="Rule",
        help="Whether the next samples are drawn around the elites' mean or the best sample.",
    )  # fmt: skip
    noise_min: float = option(
        0.05, min=0.0, max=1.0, step=0.01, unit="of range", group="Sampling",
        help="Standard deviation that the elites cannot shrink below.",
    )  # fmt: skip
    noise_max: float = option(
        1.0, min=0.01, max=2.0, step=0.01, unit="of range", group="Sampling",
        help="Standard deviation that the elites cannot grow above.",
    )  # fmt: skip
    smoothing: float = option(
        0.0, min=0.0, max=0.95, step=0.05, group="Rule",
        help="Share of the old mean and deviation that an update keeps.",
    )  # fmt: skip
    patience: int = option(
        10, min=0, max=100, step=1, unit="plans", group="Rule",
        help="Plans without progress after which the deviation starts afresh, longer where that"
        " does not help; 0: never.",
    )  # fmt: skip
    progress: float = option(
        0.01, min=0.0, max=0.5, step=0.01, group="Rule",
        help="Relative fall of the best cost that counts as progress.",
    )  # fmt: skip


class Progress(NamedTuple):
    """What CEM remembers to notice a stall, and whether starting afresh helps.

    Attributes:
        best: Lowest cost since the deviation last started afresh.
        stalled: Plans since it fell.
        record: Lowest cost since the problem last changed.
        wait: Multiple of `patience` after which the deviation starts afresh.
    """

    best: Array
    stalled: Array
    record: Array
    wait: Array


class CEM(Rule):
    """Equal weights on the elites; the deviation is theirs, with floor, cap and ramp.

    The ramp multiplies the elites' deviation, the floor and the start value, so that knots far
    ahead, which will be planned again, keep exploring. When the best cost has not fallen for
    `patience` plans, the deviation starts afresh (Brudermueller et al., "GPC-CEM", section IV;
    its Algorithm 1 is `centre = execute = "best"`). Where nothing is left to gain that would go on
    for ever, so each time doubles the wait for the next, up to eight times `patience`. A new lowest
    cost, or one twice as high (the goal was moved, the robot was pushed), ends the doubling.
    """

    options_type = CEMOptions

    def weigh(self, cost: Array, options: Any) -> Array:
        """One for each of the cheapest `elites`; equal costs rank by index."""
        rank = jnp.argsort(jnp.argsort(cost))
        return (rank < options.elites).astype(cost.dtype)

    def start(self, mean: Array, scale: Array, options: Any) -> Distribution:
        """Around `mean` with the start deviation."""
        std = self._fresh(mean.shape[0], scale, options)
        unknown = jnp.full((), jnp.inf)
        return Distribution(mean, std, Progress(unknown, jnp.zeros(()), unknown, jnp.ones(())))

    def spread(
        self, distribution: Distribution, scale: Array, options: Any, iteration: Array
    ) -> Array:
        """The distribution's own deviation, within floor and cap (K, nu)."""
        del iteration
        return self._bounded(distribution.std, scale, options)

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
        """Fits mean and deviation to the elites."""
        old, progress = distribution, distribution.extra
        knots = candidates.knots
        weight = self.shares(cost, options)
        average = weighted_mean(weight, knots)
        around_best = options.centre == code(CENTRES, "best")
        middle = jnp.where(around_best, knots[jnp.argmin(cost)], average)
        grown = profile(knots.shape[1], options.ramp)
        elite_std = jnp.sqrt(weighted_mean(weight, (knots - average) ** 2)) * grown
        keep = options.smoothing
        mean = keep * old.mean + (1.0 - keep) * middle
        std = self._bounded(keep * old.std + (1.0 - keep) * elite_std, scale, options)

        lowest = jnp.min(cost)
        last = iteration == options.iterations - 1
        progressed = _fell(lowest, progress.best, options.progress)
        stalled = jnp.where(progressed, 0.0, progress.stalled + last)
        record = progress.record
        helped = _fell(lowest, record, options.progress)
        renewed = helped | (lowest > record + jnp.abs(record))
        record = jnp.where(renewed, lowest, record)
        wait = jnp.where(renewed, 1.0, progress.wait)
        afresh = (options.patience > 0) & (stalled >= wait * options.patience) & last
        std = jnp.where(afresh, self._fresh(knots.shape[1], scale, options), std)
        best = jnp.where(progressed | afresh, lowest, progress.best)
        stalled = jnp.where(afresh, 0.0, stalled)
        wait = jnp.where(afresh, jnp.minimum(2.0 * wait, _LONGEST_WAIT), wait)

        alive = jnp.isfinite(lowest)  # otherwise nothing was learned
        mean = jnp.where(alive, mean, average)
        std = jnp.where(alive, std, old.std)
        return Distribution(mean, std, Progress(best, stalled, record, wait)), weight

    def _fresh(self, knots: int, scale: Array, options: Any) -> Array:
        std = options.noise * profile(knots, options.ramp) * scale
        return self._bounded(std, scale, options)

    def _bounded(self, std: Array, scale: Array, options: Any) -> Array:
        floor = options.noise_min * profile(std.shape[0], options.ramp)
        cap = jnp.maximum(options.noise_max, options.noise_min)
        return jnp.clip(std, jnp.minimum(floor, cap) * scale, cap * scale)


def _fell(cost: Array, before: Array, share: Array) -> Array:
    """Whether a cost is lower than one before it by more than a share of that."""
    return (cost < before - share * jnp.abs(before)) | ~jnp.isfinite(before)


CONTROLLER = ControllerSpec(
    name="cem",
    title="CEM",
    summary="Fits mean and deviation to the cheapest samples; starts afresh when it stalls.",
    options_type=CEMOptions,
    rule=CEM(),
)
