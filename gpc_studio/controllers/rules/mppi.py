"""MPPI: an average of the samples, weighted by the exponential of their cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from gpc_studio.controllers.options import options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import GaussianOptions, Rule, excess
from gpc_studio.options import option
from gpc_studio.scenes.state import Array


@options_pytree
@dataclass(frozen=True)
class MPPIOptions(GaussianOptions):
    """Options of MPPI."""

    temperature: float = option(
        0.1, min=0.0001, max=10.0, step=0.0001, unit="of cost", group="Rule",
        help="Cost above the best at which a sample's weight falls to 1/e.",
    )  # fmt: skip


class MPPI(Rule):
    """Weights `exp(-(J - min J) / temperature)`.

    Williams et al., "Information-Theoretic Model Predictive Control", 2018.
    """

    options_type = MPPIOptions

    def weigh(self, cost: Array, options: Any) -> Array:
        """Boltzmann weights, 1 for the cheapest."""
        return jnp.exp(-excess(cost) / options.temperature)


CONTROLLER = ControllerSpec(
    name="mppi",
    title="MPPI",
    summary="Averages all samples with weights that fall exponentially with cost.",
    options_type=MPPIOptions,
    rule=MPPI(),
)
