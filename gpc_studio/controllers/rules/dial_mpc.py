"""DIAL-MPC: MPPI with noise annealed over inner iterations and along the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from gpc_studio.controllers.options import options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.base import Distribution, Rule, excess
from gpc_studio.controllers.rules.mppi import MPPIOptions
from gpc_studio.options import option
from gpc_studio.scenes.state import Array


@options_pytree
@dataclass(frozen=True)
class DialMPCOptions(MPPIOptions):
    """Options of DIAL-MPC."""

    iterations: int = 3
    iteration_decay: float = option(
        1.0, min=0.1, max=10.0, step=0.1, group="Rule",
        help="Iterations, as a fraction of all, over which the noise falls to 1/e.",
    )  # fmt: skip
    horizon_decay: float = option(
        1.0, min=0.1, max=10.0, step=0.1, group="Rule",
        help="Knots, as a fraction of all, back from the last over which noise falls to 1/e.",
    )  # fmt: skip


class DialMPC(Rule):
    """MPPI weights; deviation `noise exp(-i / (b1 I) - (K - 1 - k) / (b2 K))`.

    Xue et al., "Full-Order Sampling-Based MPC for Torque-Level Locomotion Control via
    Diffusion-Style Annealing", 2024. i of I is the iteration, k of K the knot, b1 and b2 the two
    decays: coarse search first, fine last, and always coarser further ahead.
    """

    options_type = DialMPCOptions

    def weigh(self, cost: Array, options: Any) -> Array:
        """Boltzmann weights, 1 for the cheapest."""
        return jnp.exp(-excess(cost) / options.temperature)

    def spread(
        self, distribution: Distribution, scale: Array, options: Any, iteration: Array
    ) -> Array:
        """Annealed deviation (K, nu)."""
        base = super().spread(distribution, scale, options, iteration)
        knots = distribution.mean.shape[0]
        passed = iteration / (options.iteration_decay * options.iterations)
        to_end = jnp.arange(knots - 1, -1, -1)[:, None] / (options.horizon_decay * knots)
        return base * jnp.exp(-passed - to_end)


CONTROLLER = ControllerSpec(
    name="dial_mpc",
    title="DIAL-MPC",
    summary="MPPI in several rounds, with noise annealed from coarse to fine.",
    options_type=DialMPCOptions,
    rule=DialMPC(),
)
