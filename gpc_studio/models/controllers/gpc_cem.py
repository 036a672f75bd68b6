"""GPC-CEM: CEM whose samples come from the policy and from its own Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gpc_studio.controllers.options import options_pytree
from gpc_studio.controllers.plan import Source
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import Candidates, Distribution, profile
from gpc_studio.controllers.rules.cem import CEM, CEMOptions
from gpc_studio.models.controllers.options import PolicyShareOptions
from gpc_studio.options import option
from gpc_studio.scenes.state import Array

_KEPT = 0.25  # share of its samples that the policy keeps when it hands over
_FINEST = 1.0 / 30.0  # smallest deviation of the samples in their place, of that of a start


@options_pytree
@dataclass(frozen=True)
class GPCCEMOptions(CEMOptions, PolicyShareOptions):
    """Options of GPC-CEM."""

    execute: str = "best"
    centre: str = "best"
    hand_over: int = option(
        5, min=0, max=100, step=1, unit="plans", group="Policy", label="Hand over after",
        help="Plans without progress after which most of the policy's samples become noise of many"
        " sizes around the best plan, until there is progress again; 0: never.",
    )  # fmt: skip


class Stall(NamedTuple):
    """What GPC-CEM remembers besides what CEM does.

    Attributes:
        cem: Memory of CEM.
        best: Lowest cost since there was progress, or since the problem changed.
        plans: Plans since then.
    """

    cem: Any
    best: Array
    plans: Array


class GPCCEM(CEM):
    """Algorithm 1 of Brudermueller et al., with an end game.

    "Generative Models From and For Sampling-Based MPC", 2025, arXiv 2510.14643: half of the samples
    are the policy's, the elites are chosen among all, the mean is the best of them, their deviation
    is the next one, and the best is executed.

    Close to a goal the policy knows no better plan than the last, and half of the samples are few
    for the rest of the way. So when the lowest cost has not fallen for `hand_over` plans, three
    quarters of the policy's samples are drawn around the mean instead, with deviations in a
    geometric series from that of a start down to a thirtieth of it: whatever is missing, some of
    them are about that size. They are Gaussian samples from then on, also by their source.
    """

    options_type = GPCCEMOptions

    def start(self, mean: Array, scale: Array, options: Any) -> Distribution:
        """Around `mean` with the start deviation."""
        first = super().start(mean, scale, options)
        return first._replace(extra=Stall(first.extra, jnp.full((), jnp.inf), jnp.zeros(())))

    def admit(
        self,
        key: Array,
        distribution: Distribution,
        candidates: Candidates,
        *,
        scale: Array,
        options: Any,
    ) -> Candidates:
        """Replaces most of the policy's samples while there is no progress."""
        stalled = distribution.extra.plans >= options.hand_over
        stalled &= options.hand_over > 0
        flows = candidates.source == int(Source.FLOW)
        place = jnp.cumsum(flows) - 1.0  # among the policy's samples
        most = jnp.maximum(jnp.sum(flows) - 1.0, 1.0)
        replaced = flows & (place / most > _KEPT) & stalled
        size = _FINEST ** (jnp.clip(place / most - _KEPT, 0.0, None) / (1.0 - _KEPT))  # (N,)
        knots = candidates.knots
        std = options.noise * profile(knots.shape[1], options.ramp) * scale  # (K, nu)
        noise = size[:, None, None] * std * jax.random.normal(key, knots.shape)
        return candidates._replace(
            knots=jnp.where(replaced[:, None, None], distribution.mean + noise, knots),
            source=jnp.where(replaced, int(Source.GAUSSIAN), candidates.source),
        )

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
        """Fits mean and deviation to the elites, and notes whether there is progress."""
        stall = distribution.extra
        new, weight = super().update(
            distribution._replace(extra=stall.cem),
            candidates,
            cost,
            scale=scale,
            options=options,
            iteration=iteration,
        )
        lowest, size = jnp.min(cost), jnp.abs(stall.best)
        renewed = ~jnp.isfinite(stall.best) | (lowest < stall.best - options.progress * size)
        renewed |= lowest > stall.best + size  # the goal was moved, the robot was pushed
        plans = jnp.where(renewed, 0.0, stall.plans + (iteration == options.iterations - 1))
        best = jnp.where(renewed, lowest, stall.best)
        return new._replace(extra=Stall(new.extra, best, plans)), weight


CONTROLLER = ControllerSpec(
    name="gpc_cem",
    title="GPC-CEM",
    summary="CEM with samples of a trained policy among its own; the best is executed.",
    options_type=GPCCEMOptions,
    rule=GPCCEM(),
    proposals=("flow",),
    like="cem",
)
