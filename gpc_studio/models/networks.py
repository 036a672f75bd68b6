"""The networks of flow-matching policies, as Flax NNX modules.

A network maps knots on their way from noise to a plan to their velocity. What it is conditioned on
(observation and flow time) is the same for all samples of a plan, so it is turned into a *context*
apart from them: `context` once for all Euler steps of a call, `__call__` once a step for all
samples. There is no batch normalisation, whose statistics neither `vmap` nor weight averaging
carry along.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from gpc_studio.models.architecture import Architecture
from gpc_studio.scenes.state import Array


def time_features(time: Array, count: int) -> Array:
    """Features of the flow time: t, sin(pi t), cos(pi t), sin(2 pi t), ... (...) -> (..., count).

    A single feature is the time itself, which suffices for small networks.
    """
    time = jnp.asarray(time)[..., None]
    angles = jnp.pi * time * jnp.arange(1, count // 2 + 1)
    waves = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    return jnp.concatenate([time, waves.reshape(*angles.shape[:-1], -1)], axis=-1)[..., :count]


class MLP(nnx.Module):
    """A perceptron that sees all knots at once, with SiLU between its layers."""

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs) -> None:
        """Draws weights; the output layer starts at zero, so that nothing moves at first."""
        size, width = architecture.knots * architecture.controls, architecture.width
        inputs = (size, architecture.condition, architecture.time_features)

        # The first layer in three parts: those of condition and time do not depend on the sample.
        def part(count: int, bias: bool) -> nnx.Linear:
            init = _kernel(count / sum(inputs))
            return nnx.Linear(count, width, use_bias=bias, kernel_init=init, rngs=rngs)

        self.knots, self.condition = part(size, False), part(architecture.condition, True)
        self.time = part(architecture.time_features, False)
        self.hidden = nnx.List(
            [nnx.Linear(width, width, rngs=rngs) for _ in range(architecture.layers - 1)]
        )
        self.output = nnx.Linear(width, size, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def context(self, condition: Array, time: Array) -> Array:
        """Condition (..., nc) and time features (..., nt) as the first layer sees them (..., W)."""
        return self.condition(condition) + self.time(time)

    def __call__(self, knots: Array, context: Array) -> Array:
        """Velocity of knots (..., K, nu) in a context."""
        x = self.knots(knots.reshape(*knots.shape[:-2], -1)) + context
        for layer in self.hidden:
            x = layer(jax.nn.silu(x))
        return self.output(jax.nn.silu(x)).reshape(knots.shape)


class CNN(nnx.Module):
    """Residual 1-D convolutions along the knots; the context scales and shifts their channels.

    Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer" (2018), as the
    networks of Kurtz & Burdick, "Generative Predictive Control" (2025).
    """

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs) -> None:
        """Draws weights; the output layer starts at zero, so that nothing moves at first."""
        width, layers = architecture.width, architecture.layers
        inputs = (architecture.condition, architecture.time_features)

        def linear(count: int, bias: bool) -> nnx.Linear:
            init = _kernel(count / sum(inputs))
            return nnx.Linear(count, width, use_bias=bias, kernel_init=init, rngs=rngs)

        self.condition, self.time = linear(inputs[0], True), linear(inputs[1], False)
        self.film = nnx.Linear(width, layers * 2 * width, rngs=rngs)
        self.input = _convolution(architecture.controls, width, rngs)
        # Convolutions alone could tell the knots apart only by their distance from the ends.
        self.position = nnx.Param(
            0.1 * jax.random.normal(rngs.params(), (architecture.knots, width))
        )
        self.blocks = nnx.List(
            [nnx.List([_convolution(width, width, rngs) for _ in range(2)]) for _ in range(layers)]
        )
        self.output = _convolution(width, architecture.controls, rngs, nnx.initializers.zeros)

    def context(self, condition: Array, time: Array) -> Array:
        """Scale and shift of every block's channels (..., layers, 2, 1, W)."""
        film = self.film(jax.nn.silu(self.condition(condition) + self.time(time)))
        layers = len(self.blocks)
        return film.reshape(*film.shape[:-1], layers, 2, 1, film.shape[-1] // (2 * layers))

    def __call__(self, knots: Array, context: Array) -> Array:
        """Velocity of knots (..., K, nu) in a context."""
        x = self.input(knots) + self.position[...]
        for index, (first, second) in enumerate(self.blocks):
            scale, shift = context[..., index, 0, :, :], context[..., index, 1, :, :]
            inner = first(jax.nn.silu(x)) * (1.0 + scale) + shift
            x = x + second(jax.nn.silu(inner))
        return self.output(jax.nn.silu(x))


def build(architecture: Architecture, rngs: nnx.Rngs) -> MLP | CNN:
    """The network of an architecture."""
    return {"mlp": MLP, "cnn": CNN}[architecture.network](architecture, rngs=rngs)


def _convolution(
    inputs: int, outputs: int, rngs: nnx.Rngs, kernel: nnx.Initializer | None = None
) -> nnx.Conv:
    """Over three neighbouring knots, zero-padded: (..., K, inputs) -> (..., K, outputs)."""
    kernel = kernel or nnx.initializers.lecun_normal()
    return nnx.Conv(inputs, outputs, kernel_size=(3,), kernel_init=kernel, rngs=rngs)


def _kernel(share: float) -> nnx.Initializer:
    """LeCun's initialisation of a part of a layer that has this share of all its inputs."""
    return nnx.initializers.variance_scaling(share, "fan_in", "truncated_normal")
