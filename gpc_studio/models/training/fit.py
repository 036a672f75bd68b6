"""Fitting a policy to examples: optimiser steps over minibatches, many of them a compiled call.

Pure and deterministic: the minibatch and the noise of step i follow from one key and i, so that
training that went on from a saved state ends with the same bits as training that ran through.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.models.flow_matching import Batch, loss
from gpc_studio.models.policy import Normaliser, Policy
from gpc_studio.models.training.options import FitOptions
from gpc_studio.scenes.state import Array

VALIDATION_EXAMPLES = 4096


class FitState(NamedTuple):
    """Everything that an optimiser step changes.

    Attributes:
        weights: Weights of the network.
        average: Their running average, which the policy uses.
        optimiser: State of Adam.
        step: Number of steps made ().
    """

    weights: Any
    average: Any
    optimiser: Any
    step: Array


class Fit:
    """Optimiser steps for one policy.

    Attributes:
        total: Optimiser steps of the whole training, over which the learning rate falls.
    """

    def __init__(self, policy: Policy, options: FitOptions, total: int, key: Array) -> None:
        """Compiles nothing yet.

        Args:
            policy: The policy to start from; its architecture is fixed by it.
            options: How to fit.
            total: Optimiser steps of the whole training.
            key: Key of the minibatches and of the noise.
        """
        import optax

        self.total = total
        self._policy, self._options, self._key = policy, options, key
        warmup = min(options.warmup, total // 2)
        schedule = optax.warmup_cosine_decay_schedule(
            init_value=options.learning_rate / max(1, warmup),
            peak_value=options.learning_rate,
            warmup_steps=warmup,
            decay_steps=max(total, warmup + 1),
        )
        self._optimiser = optax.adamw(schedule, weight_decay=options.weight_decay)
        # The old state is not used again: its memory is taken for the new one.
        self._run = jax.jit(self._trace_run, donate_argnums=0)
        self._measure = jax.jit(self._trace_measure)

    def start(self) -> FitState:
        """The state before the first step."""
        weights = jax.tree.map(jnp.array, self._policy.weights)
        return FitState(
            weights=weights,
            average=jax.tree.map(jnp.array, weights),
            optimiser=self._optimiser.init(weights),
            step=jnp.zeros((), jnp.int32),
        )

    def run(
        self, state: FitState, normaliser: Normaliser, examples: Batch, steps: int
    ) -> tuple[FitState, float]:
        """Makes optimiser steps.

        Args:
            state: Given up: use the one returned.
            normaliser: Of the observation.
            examples: What minibatches are drawn from, with replacement (n, ...).
            steps: Number of steps; any number runs the same compiled code.

        Returns:
            The new state, and the mean loss of the steps.
        """
        state, total = self._run(state, normaliser, examples, jnp.int32(steps))
        return jax.block_until_ready(state), float(total) / steps

    def measure(self, state: FitState, normaliser: Normaliser, examples: Batch) -> float:
        """Loss of the averaged weights on examples, with the same noise at every call."""
        few = jax.tree.map(lambda values: values[:VALIDATION_EXAMPLES], examples)
        return float(self._measure(state.average, normaliser, few))

    def policy(self, state: FitState, normaliser: Normaliser) -> Policy:
        """The policy at a state: the averaged weights."""
        # Copies, since the state's own memory is given up at the next step.
        return replace(
            self._policy, weights=jax.tree.map(jnp.array, state.average), normaliser=normaliser
        )

    def _trace_run(
        self, state: FitState, normaliser: Normaliser, examples: Batch, steps: Array
    ) -> tuple[FitState, Array]:
        def body(_: Array, carry: tuple[FitState, Array]) -> tuple[FitState, Array]:
            state, total = carry
            state, value = self._step(state, normaliser, examples)
            return state, total + value

        return jax.lax.fori_loop(0, steps, body, (state, jnp.zeros(())))

    def _step(
        self, state: FitState, normaliser: Normaliser, examples: Batch
    ) -> tuple[FitState, Array]:
        import optax

        options = self._options
        draw, noise = jax.random.split(jax.random.fold_in(self._key, state.step))
        count = examples.knots.shape[0]
        rows = jax.random.randint(draw, (options.minibatch,), 0, count)
        batch = jax.tree.map(lambda values: values[rows], examples)
        value, gradient = jax.value_and_grad(self._loss)(state.weights, normaliser, batch, noise)
        update, optimiser = self._optimiser.update(gradient, state.optimiser, state.weights)
        weights = optax.apply_updates(state.weights, update)
        # Early on the average follows faster, or it would remember the random start.
        step = state.step + 1
        decay = jnp.minimum(options.ema, step / (step + 10.0))
        average = jax.tree.map(
            lambda old, new: decay * old + (1.0 - decay) * new, state.average, weights
        )
        return FitState(weights, average, optimiser, step), value

    def _loss(self, weights: Any, normaliser: Normaliser, batch: Batch, key: Array) -> Array:
        policy = replace(self._policy, weights=weights, normaliser=normaliser)
        return loss(policy, batch, key, gamma=self._options.cosine_weight)

    def _trace_measure(self, weights: Any, normaliser: Normaliser, examples: Batch) -> Array:
        # Apart from the keys of the steps, which count from zero.
        return self._loss(weights, normaliser, examples, jax.random.fold_in(self._key, 2**31 - 1))


def examples_of(parts: Any, units: Any) -> Batch:
    """Recorded planning steps as examples in policy units.

    Args:
        parts: Anything with the fields of `Batch`, controls in the policy frame.
        units: Function from controls of the policy frame to policy units.
    """
    return Batch(
        knots=jnp.asarray(units(parts.knots)),
        observation=jnp.asarray(np.asarray(parts.observation, np.float32)),
        last_observation=jnp.asarray(np.asarray(parts.last_observation, np.float32)),
        previous=jnp.asarray(units(parts.previous)),
    )


joined = partial(jax.tree.map, lambda *values: np.concatenate(values))
"""Concatenates pytrees of arrays along the first axis."""
