"""What a proposal is: a source of candidate knots."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from gpc_studio.controllers.plan import Source
from gpc_studio.scenes.state import Array, State


class Context(NamedTuple):
    """What a proposal may look at, for one episode; knots are in actuator units.

    Attributes:
        state: State planned from, sensors current.
        mean: Mean of the distribution, shifted to now (K, nu).
        std: Standard deviation of the distribution (K, nu).
        previous: Executed knots of the plan before, shifted to now (K, nu): the warm start.
        observation: `Task.observe` of the state planned from (nobs,).
        last_observation: The same at the plan before; equal to `observation` at the first (nobs,).
        low: Lower actuator limits (nu,).
        high: Upper actuator limits (nu,).
        extra: The rule's own memory (`Distribution.extra`), as a latent mean.
    """

    state: State
    mean: Array
    std: Array
    previous: Array
    observation: Array
    last_observation: Array
    low: Array
    high: Array
    extra: Any


def signature(proposal: Proposal) -> Hashable:
    """What compiled code depends on: equal for proposals whose parameters can change places."""
    leaves, structure = jax.tree.flatten(proposal.parameters)
    shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    kind = (type(proposal), proposal.name, proposal.source, proposal.latent_size)
    return (*kind, structure, shapes)


class Proposal(Protocol):
    """Draws candidate knots.

    Attributes:
        name: Name by which a `ControllerSpec` asks for it.
        source: Tag of its samples.
        latent_size: Size of the latents that it returns, 0 for none.
        parameters: Pytree of JAX arrays that `draw` gets traced: new values of the same shapes (a
            newer checkpoint) take effect without compiling again.
    """

    name: str
    source: Source
    latent_size: int
    parameters: Any

    def count(self, options: Any) -> int:
        """Number of samples that it draws; may depend on static options only."""
        ...

    def draw(
        self, parameters: Any, key: Array, count: int, context: Context, options: Any
    ) -> tuple[Array, Array | None]:
        """Draws for one episode, in pure JAX.

        Args:
            parameters: `self.parameters`, traced.
            key: PRNG key.
            count: Number of samples, n.
            context: What it may look at.
            options: Encoded options of the controller.

        Returns:
            Knots in actuator units (n, K, nu); they are clipped to the limits afterwards. And
            their latents (n, latent_size), or None.
        """
        ...
