"""The loss that policies are trained with: conditional flow matching.

Sources: Lipman et al., "Flow Matching for Generative Modeling" (2023); Kurtz & Burdick,
"Generative Predictive Control" (2025), arXiv 2502.13406, sec. IV. Their eq. 31 has a minus sign in
the path between noise and plan; the plus of their eq. 11 is meant.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gpc_studio.models.policy import Policy, velocity
from gpc_studio.scenes.state import Array

_TINY = 1e-12


class Batch(NamedTuple):
    """Plans and what was seen when they were made.

    Attributes:
        knots: Plans U_k after the update, policy units (B, K, nu).
        observation: Observations that they were made at (B, nobs).
        last_observation: Observations at the plans before; those of a first plan are the same as
            `observation` (B, nobs).
        previous: Plans U_{k-1} **before** the update, shifted in time to now, policy units
            (B, K, nu). Only the cosine weight looks at them.
    """

    knots: Array
    observation: Array
    last_observation: Array
    previous: Array


def loss(
    policy: Policy,
    batch: Batch,
    key: Array,
    *,
    sigma_min: float = 0.0,
    gamma: Array | float = 0.0,
) -> Array:
    """Flow-matching loss of a policy on a batch, one noise and one flow time a plan.

    The path is straight, U_t = t U + (1 - (1 - sigma_min) t) eps, and the velocity to be matched
    is U - (1 - sigma_min) eps (Lipman et al., eqs. 22 and 23). With `sigma_min = 0` the path ends
    at the plan itself (Kurtz & Burdick, eq. 11), which is the default: a width is needed for
    densities and for solvers that come arbitrarily near to t = 1, while Euler's last step starts
    a whole step before.

    Args:
        policy: The policy; differentiate with respect to its `weights`.
        batch: The plans.
        key: PRNG key of noise and flow times.
        sigma_min: Standard deviation around a plan at which paths end, policy units.
        gamma: Decay of the cosine weight (Kurtz & Burdick, eqs. 33 and 34); 0 switches it off.

    Returns:
        Mean over the batch of the squared error, summed over knots and controls, weighted ().
    """
    noise_key, time_key = jax.random.split(key)
    noise = jax.random.normal(noise_key, batch.knots.shape)
    time = jax.random.uniform(time_key, batch.knots.shape[:1])
    t, shrink = time[:, None, None], 1.0 - sigma_min

    points = t * batch.knots + (1.0 - shrink * t) * noise
    target = batch.knots - shrink * noise
    found = velocity(policy, points, batch.observation, batch.last_observation, time)
    error = jnp.sum((found - target) ** 2, axis=(-2, -1))  # (B,)
    return jnp.mean(cosine_weight(batch.knots, batch.previous, noise, gamma) * error)


def cosine_weight(knots: Array, previous: Array, noise: Array, gamma: Array | float) -> Array:
    """Weight of each sample: how well flowing from its noise agrees with the update.

    w = exp(-gamma (1 - cos(U_k - U_{k-1}, U_k - U_0))) (Kurtz & Burdick, eqs. 32 and 33). An
    update is a step in the right direction and seldom arrives, so that a plan is a good target
    for noise that lies behind it. A plan that the update left where it was speaks against no
    noise: its weights are 1.

    Args:
        knots: Plans after the update U_k (B, K, nu).
        previous: Plans before the update U_{k-1}, shifted to now (B, K, nu).
        noise: Where flows start, U_0 (B, K, nu).
        gamma: Decay; at 0 all weights are 1.

    Returns:
        Weights in [exp(-2 gamma), 1] (B,).
    """
    update, path = knots - previous, knots - noise

    def dot(a: Array, b: Array) -> Array:
        return jnp.sum(a * b, axis=(-2, -1))

    lengths = dot(update, update) * dot(path, path)
    cosine = dot(update, path) * jax.lax.rsqrt(jnp.maximum(lengths, _TINY))
    return jnp.exp(-gamma * (1.0 - jnp.where(lengths > _TINY, cosine, 1.0)))
