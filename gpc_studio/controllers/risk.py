"""How a sample's trajectory costs over domains become one cost.

Metrics act on whole trajectory costs `J(U, d)`, never on the costs of single time steps (Kurtz and
Burdick, "Generative Predictive Control", eqs. 36-39). `level` is the tail fraction: `1 - beta` in
the notation of eq. 39.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from gpc_studio.controllers.options import RISKS
from gpc_studio.scenes.state import Array

# Forgives rounding of `level * D` when a tail is a whole number of domains.
_ROUNDING = 1e-4


def combine(cost: Array, metric: Array, level: Array) -> Array:
    """Costs of the samples after risk.

    Args:
        cost: Trajectory costs (D, N); +inf marks a diverged rollout.
        metric: Index of the metric in `RISKS`, traced.
        level: Tail fraction in (0, 1], or the risk aversion of `exponential`, traced.

    Returns:
        (N,); with one domain, the costs unchanged.
    """
    if cost.shape[0] == 1:
        return cost[0]
    branches = [_METRICS[name] for name in RISKS]
    return jax.lax.switch(metric, branches, cost, level)


def mean(cost: Array, level: Array) -> Array:
    """Expected cost (eq. 37)."""
    del level
    return jnp.mean(cost, axis=0)


def worst(cost: Array, level: Array) -> Array:
    """Cost in the worst domain (eq. 38)."""
    del level
    return jnp.max(cost, axis=0)


def best(cost: Array, level: Array) -> Array:
    """Cost in the best domain: optimism in the face of uncertainty."""
    del level
    return jnp.min(cost, axis=0)


def cvar(cost: Array, level: Array) -> Array:
    """Conditional value-at-risk: mean of the worst fraction `level` (eq. 39 with 1 - beta).

    For equally likely domains the infimum over z in eq. 39 is the mean of the `level * D` highest
    costs, the last of them counted in part. Level 1 gives the mean, level to 0 the worst.
    """
    count = cost.shape[0]
    tail = jnp.maximum(level, 1e-6) * count
    share = jnp.clip(tail - jnp.arange(count), 0.0, 1.0) / tail
    share = jnp.where(share > _ROUNDING / count, share, 0.0)[:, None]
    # 0 * inf is not a number: a diverged domain outside the tail must not count.
    return jnp.sum(jnp.where(share > 0.0, share * _descending(cost), 0.0), axis=0)


def exponential(cost: Array, level: Array) -> Array:
    """Entropic risk `log E exp(level J) / level`; tends to the mean for level to 0."""
    total = jax.scipy.special.logsumexp(level * cost, axis=0)
    return (total - jnp.log(float(cost.shape[0]))) / level


def value_at_risk(cost: Array, level: Array) -> Array:
    """The cost that at most a fraction `level` of the domains exceeds."""
    count = cost.shape[0]
    exceeding = jnp.floor(level * count + _ROUNDING).astype(int)
    return _descending(cost)[jnp.clip(exceeding, 0, count - 1)]


def _descending(cost: Array) -> Array:
    return -jnp.sort(-cost, axis=0)


_METRICS = {
    "mean": mean,
    "worst": worst,
    "best": best,
    "cvar": cvar,
    "exponential": exponential,
    "value_at_risk": value_at_risk,
}
