"""Predictive sampling: the cheapest sample is the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gpc_studio.controllers.options import options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import GaussianOptions, Rule
from gpc_studio.scenes.state import Array


@options_pytree
@dataclass(frozen=True)
class PredictiveSamplingOptions(GaussianOptions):
    """Options of predictive sampling."""


class PredictiveSampling(Rule):
    """All the weight on the cheapest sample.

    Howell et al., "Predictive Sampling", 2022: the limit of MPPI at temperature zero.
    """

    options_type = PredictiveSamplingOptions

    def weigh(self, cost: Array, options: Any) -> Array:
        """One for the cheapest, zero for the others."""
        del options
        return jax.nn.one_hot(jnp.argmin(cost), cost.shape[0])


CONTROLLER = ControllerSpec(
    name="predictive_sampling",
    title="Predictive sampling",
    summary="Samples around the last plan and keeps the cheapest sample.",
    options_type=PredictiveSamplingOptions,
    rule=PredictiveSampling(),
)
