"""GPC: the policy alone, warm-started with the last plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gpc_studio.controllers.options import PlanningOptions, options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import Candidates, Distribution, Rule
from gpc_studio.models.controllers.options import PolicyOptions
from gpc_studio.options import option
from gpc_studio.scenes.state import Array


@options_pytree
@dataclass(frozen=True)
class GPCOptions(PlanningOptions, PolicyOptions):
    """Options of the policy alone."""

    warm_start: float = 1.0
    show_rollouts: bool = option(
        False, static=True, group="Policy",
        help="Roll samples of the policy out, for the picture only: the first is executed anyhow."
        " At a warm start of 1 there is no noise in them, and all are alike.",
    )  # fmt: skip

    def policy_samples(self, samples: int) -> int:
        """All; only the first is drawn when none is rolled out."""
        return samples if self.show_rollouts else 1


class FirstSample(Rule):
    """All the weight on the first sample, whatever it costs: nothing is searched for.

    Kurtz & Burdick, "Generative Predictive Control", 2025, arXiv 2502.13406, section V.
    """

    options_type = GPCOptions

    def weigh(self, cost: Array, options: Any) -> Array:
        """One for the first, zero for the others."""
        del options
        return jax.nn.one_hot(0, cost.shape[0])

    def spread(
        self, distribution: Distribution, scale: Array, options: Any, iteration: Array
    ) -> Array:
        """None: the policy knows itself how far its samples are spread (K, nu)."""
        del scale, options, iteration
        return jnp.zeros_like(distribution.mean)

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
        """The first sample."""
        del scale, iteration
        weight = self.weigh(cost, options)
        return distribution._replace(mean=candidates.knots[0]), weight


CONTROLLER = ControllerSpec(
    name="gpc",
    title="GPC",
    summary="Executes what a trained policy draws, without rollouts.",
    options_type=GPCOptions,
    rule=FirstSample(),
    gaussian=False,
    previous=False,
    proposals=("flow",),
)
