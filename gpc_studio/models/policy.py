"""A flow-matching policy: knots out of noise, given an observation.

A policy is a distribution over plans, p(U | y), as a vector field v(U, y, t) that carries noise at
flow time t = 0 to plans at t = 1. Knots of policies are *policy units*: controls in the task's
policy frame, scaled so that its `policy_range` is [-1, 1].

Everything here is a pure function for one episode; vmap it over episodes. Code that calls it is
jitted by the caller: the architecture is part of the policy's tree structure, its arrays are
traced, so that newer weights take effect without compiling again.

Sources: Lipman et al., "Flow Matching for Generative Modeling" (2023); Kurtz & Burdick,
"Generative Predictive Control" (2025), arXiv 2502.13406, secs. II-C and V.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.models.architecture import Architecture
from gpc_studio.scenes.state import Array, State
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    from gpc_studio.models.networks import CNN, MLP

STD_FLOOR = 1e-3
"""Least standard deviation that observations are divided by, in their own units."""

OUTLIER = 10.0
"""Normalised observations are clipped to +-this."""


class Normaliser(NamedTuple):
    """Scales observations as the data were spread that a policy was trained on.

    Attributes:
        mean: Mean observation (nobs,).
        std: Its standard deviation (nobs,).
        change: Standard deviation of its change between two plans (nobs,): a change is much
            smaller than the observation is spread, and the network should see it as large.
    """

    mean: Array
    std: Array
    change: Array

    @classmethod
    def of(cls, observations: Array, last_observations: Array) -> Normaliser:
        """Measures a data set (n, nobs), each observation with that of the plan before."""
        now = np.asarray(observations, dtype=np.float64)
        change = now - np.asarray(last_observations, dtype=np.float64)
        rows = (now.mean(axis=0), _floored(now.std(axis=0)), _floored(change.std(axis=0)))
        return cls(*(jnp.asarray(row, dtype=jnp.float32) for row in rows))

    @classmethod
    def identity(cls, observation: int) -> Normaliser:
        """Leaves observations of a size as they are."""
        return cls(jnp.zeros(observation), jnp.ones(observation), jnp.ones(observation))

    def condition(self, observation: Array, last_observation: Array, history: bool) -> Array:
        """What a network is conditioned on: (..., nobs) twice -> (..., nobs or 2 nobs).

        It is clipped, since what never varied in the data would become huge when it does.
        """
        parts = [(observation - self.mean) / self.std]
        if history:
            parts.append((observation - last_observation) / self.change)
        return jnp.clip(jnp.concatenate(parts, axis=-1), -OUTLIER, OUTLIER)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Policy:
    """A trained policy, or one in training.

    Attributes:
        weights: Weights of the network, a nested dict of float32 arrays. Those of a finished
            policy are averages over training (EMA).
        normaliser: Of the observation.
        architecture: The network; static under jit.
    """

    weights: Any
    normaliser: Normaliser
    architecture: Architecture = field(metadata={"static": True})


def new_policy(architecture: Architecture, normaliser: Normaliser, key: Array) -> Policy:
    """A policy with random weights; its velocity is zero until it is trained.

    Args:
        architecture: The network.
        normaliser: Of the observation.
        key: PRNG key.
    """
    from flax import nnx

    from gpc_studio.models.networks import build

    state = nnx.state(build(architecture, nnx.Rngs(key)))
    return Policy(nnx.to_pure_dict(state), normaliser, architecture)


def weight_shapes(architecture: Architecture) -> Any:
    """The weights of an architecture as a nested dict of shapes (`jax.ShapeDtypeStruct`)."""
    return _blueprint(architecture)[1]


def velocity(
    policy: Policy, knots: Array, observation: Array, last_observation: Array, time: Array
) -> Array:
    """The vector field v(U, y, t) (Kurtz & Burdick, eq. 30).

    Leading axes of all arguments broadcast against each other.

    Args:
        policy: The policy.
        knots: U, somewhere between noise and plan, policy units (..., K, nu).
        observation: y (..., nobs).
        last_observation: The observation at the plan before (..., nobs); looked at only by an
            architecture with `history`.
        time: Flow time t in [0, 1] (...).

    Returns:
        dU/dt (..., K, nu).
    """
    from gpc_studio.models.networks import time_features

    network, normaliser = _network(policy), policy.normaliser
    condition = normaliser.condition(observation, last_observation, policy.architecture.history)
    features = time_features(time, policy.architecture.time_features)
    return network(knots, network.context(condition, features))


def sample(
    policy: Policy, noise: Array, observation: Array, last_observation: Array, steps: int
) -> Array:
    """Carries noise to plans with forward Euler steps (Kurtz & Burdick, eqs. 12 and 13).

    Plans are clipped to [-1, 1] at the end only. On the way, points of the straight paths that the
    policy was trained on lie outside as noise does; clipping there would lead it where it was
    never trained.

    Args:
        policy: The policy.
        noise: U at t = 0, standard normal or from `warm_start` (n, K, nu).
        observation: Observation to plan from (nobs,).
        last_observation: Observation at the plan before (nobs,).
        steps: Number of Euler steps; static.

    Returns:
        Knots in policy units, within [-1, 1] (n, K, nu).
    """
    step, contexts = _euler(policy, observation, last_observation, steps)
    knots, _ = jax.lax.scan(lambda knots, context: (step(knots, context), None), noise, contexts)
    return jnp.clip(knots, -1.0, 1.0)


def flow(
    policy: Policy, noise: Array, observation: Array, last_observation: Array, steps: int
) -> Array:
    """All points on the way from noise to plans; see `sample` for the arguments.

    Returns:
        Knots at t = 0, 1/steps, ..., 1 (steps + 1, n, K, nu). The first are the noise, the last
        what `sample` returns, clipped like it; those between are not clipped.
    """
    step, contexts = _euler(policy, observation, last_observation, steps)

    def record(knots: Array, context: Array) -> tuple[Array, Array]:
        knots = step(knots, context)
        return knots, knots

    _, points = jax.lax.scan(record, noise, contexts)
    return jnp.concatenate([noise[None], points[:-1], jnp.clip(points[-1:], -1.0, 1.0)])


def warm_start(noise: Array, previous: Array, alpha: Array | float) -> Array:
    """Where the flow starts: U0 = (1 - alpha) noise + alpha previous (Kurtz & Burdick, eq. 35).

    Args:
        noise: Standard normal (n, K, nu).
        previous: The plan before, shifted in time to now and in policy units, as the noise is
            (K, nu).
        alpha: Warm-start level, 0 (noise alone) to 1 (the previous plan alone).
    """
    return (1.0 - alpha) * noise + alpha * previous


def to_policy_units(task: Task, state: State, knots: Array) -> Array:
    """Knots in actuator units as a policy sees them at a state (..., nu) -> (..., nu).

    Those that the task's `policy_range` allows are within [-1, 1]; others are not clipped.
    """
    low, high = (jnp.asarray(limit, dtype=jnp.float32) for limit in task.policy_range)
    return 2.0 * (task.to_policy_frame(state, knots) - low) / (high - low) - 1.0


def from_policy_units(task: Task, state: State, knots: Array) -> Array:
    """Inverse of `to_policy_units`; the result may lie outside the actuators' limits."""
    low, high = (jnp.asarray(limit, dtype=jnp.float32) for limit in task.policy_range)
    return task.from_policy_frame(state, low + 0.5 * (knots + 1.0) * (high - low))


def _euler(
    policy: Policy, observation: Array, last_observation: Array, steps: int
) -> tuple[Callable[[Array, Array], Array], Array]:
    """One Euler step, and the contexts of all steps, which no sample changes (steps, ...)."""
    from gpc_studio.models.networks import time_features

    network, history = _network(policy), policy.architecture.history
    condition = policy.normaliser.condition(observation, last_observation, history)
    features = time_features(jnp.arange(steps) / steps, policy.architecture.time_features)
    contexts = network.context(condition, features)
    return lambda knots, context: knots + network(knots, context) / steps, contexts


def _network(policy: Policy) -> MLP | CNN:
    """The network with the policy's weights; used while tracing only."""
    from flax import nnx

    graph, _ = _blueprint(policy.architecture)
    return nnx.merge(graph, policy.weights)


@cache
def _blueprint(architecture: Architecture) -> tuple[Any, Any]:
    """The network without its weights, and their shapes as a nested dict."""
    from flax import nnx

    from gpc_studio.models.networks import build

    graph, state = nnx.split(nnx.eval_shape(lambda: build(architecture, nnx.Rngs(0))))
    return graph, nnx.to_pure_dict(state)


def _floored(std: np.ndarray) -> np.ndarray:
    return np.maximum(std, STD_FLOOR)
