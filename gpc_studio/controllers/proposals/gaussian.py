"""The Gaussian proposal: noise around the mean of the distribution."""

from __future__ import annotations

from typing import Any

import jax

from gpc_studio.controllers.plan import Source
from gpc_studio.controllers.proposals.base import Context
from gpc_studio.scenes.state import Array


class Gaussian:
    """Independent normal noise on every knot; draws whatever the other proposals leave over."""

    name = "gaussian"
    source = Source.GAUSSIAN
    latent_size = 0
    parameters: Any = ()

    def __init__(self, count: int) -> None:
        self._count = count

    def count(self, options: Any) -> int:
        """Number of samples."""
        del options
        return self._count

    def draw(
        self, parameters: Any, key: Array, count: int, context: Context, options: Any
    ) -> tuple[Array, None]:
        """`mean + std * N(0, 1)` (n, K, nu)."""
        del parameters, options
        noise = jax.random.normal(key, (count, *context.mean.shape))
        return context.mean + context.std * noise, None
