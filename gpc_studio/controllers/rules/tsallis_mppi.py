"""Tsallis-MPPI: between MPPI and CEM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from gpc_studio.controllers.options import options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import Rule, excess
from gpc_studio.controllers.rules.mppi import MPPIOptions
from gpc_studio.options import option
from gpc_studio.scenes.state import Array

# Below this r - 1 the generalised exponential is the exponential to single precision.
_EXPONENTIAL = 1e-4


@options_pytree
@dataclass(frozen=True)
class TsallisMPPIOptions(MPPIOptions):
    """Options of Tsallis-MPPI."""

    r: float = option(
        1.5, min=1.0, max=5.0, step=0.05, group="Rule",
        help="Shape of the weights: 1 is MPPI; the larger, the more like equal elites.",
    )  # fmt: skip


class TsallisMPPI(Rule):
    """Weights `max(1 - (r - 1) (J - min J) / temperature, 0)^(1 / (r - 1))`.

    Wang et al., "Variational Inference MPC using Tsallis Divergence", 2021. Samples further than
    `temperature / (r - 1)` above the best have no weight.
    """

    options_type = TsallisMPPIOptions

    def weigh(self, cost: Array, options: Any) -> Array:
        """Generalised exponential weights, 1 for the cheapest."""
        x = excess(cost) / options.temperature
        q = jnp.maximum(options.r - 1.0, _EXPONENTIAL)
        inside = jnp.maximum(1.0 - q * x, 0.0)
        # log1p keeps the digits that 1 - q x loses for small q.
        log = jnp.where(inside > 0.0, jnp.log1p(-jnp.minimum(q * x, 1.0 - 1e-7)), -jnp.inf)
        return jnp.where(options.r - 1.0 < _EXPONENTIAL, jnp.exp(-x), jnp.exp(log / q))


CONTROLLER = ControllerSpec(
    name="tsallis_mppi",
    title="Tsallis-MPPI",
    summary="Weights that reach zero at a finite cost: between MPPI and CEM.",
    options_type=TsallisMPPIOptions,
    rule=TsallisMPPI(),
)
