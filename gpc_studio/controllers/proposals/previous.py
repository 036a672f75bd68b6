"""The previous plan as a proposal: a plan is never worse than what is being executed."""

from __future__ import annotations

from typing import Any

from gpc_studio.controllers.plan import Source
from gpc_studio.controllers.proposals.base import Context
from gpc_studio.scenes.state import Array


class Previous:
    """The executed knots of the plan before, shifted to now; always sample 0."""

    name = "previous"
    source = Source.PREVIOUS
    latent_size = 0
    parameters: Any = ()

    def count(self, options: Any) -> int:
        """One."""
        del options
        return 1

    def draw(
        self, parameters: Any, key: Array, count: int, context: Context, options: Any
    ) -> tuple[Array, None]:
        """The warm start (1, K, nu)."""
        del parameters, key, count, options
        return context.previous[None], None
