"""GPC-Shoot: the cheapest sample of the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from gpc_studio.controllers.options import PlanningOptions, options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import Distribution
from gpc_studio.controllers.rules.predictive_sampling import PredictiveSampling
from gpc_studio.models.controllers.options import PolicyOptions
from gpc_studio.scenes.state import Array


@options_pytree
@dataclass(frozen=True)
class GPCShootOptions(PlanningOptions, PolicyOptions):
    """Options of GPC-Shoot."""


class Shoot(PredictiveSampling):
    """All the weight on the cheapest sample; no noise is added to it.

    Brudermueller et al., "Generative Models From and For Sampling-Based MPC", 2025,
    arXiv 2510.14643, section IV-B. The previous plan is a sample, too.
    """

    options_type = GPCShootOptions

    def spread(
        self, distribution: Distribution, scale: Array, options: Any, iteration: Array
    ) -> Array:
        """None (K, nu)."""
        del scale, options, iteration
        return jnp.zeros_like(distribution.mean)


CONTROLLER = ControllerSpec(
    name="gpc_shoot",
    title="GPC-Shoot",
    summary="Rolls out samples of a trained policy and keeps the cheapest.",
    options_type=GPCShootOptions,
    rule=Shoot(),
    gaussian=False,
    proposals=("flow",),
)
