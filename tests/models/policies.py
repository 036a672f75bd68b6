"""Policies for tests: small, and with weights as training leaves them."""

import jax
import jax.numpy as jnp

from gpc_studio.models import policy as policies
from gpc_studio.models.architecture import Architecture
from gpc_studio.models.policy import Normaliser, Policy, new_policy

NETWORKS = ("mlp", "cnn")

velocity = jax.jit(policies.velocity)
sample = jax.jit(policies.sample, static_argnames="steps")
flow = jax.jit(policies.flow, static_argnames="steps")


def architecture(network="mlp", **changes) -> Architecture:
    sizes = dict(width=16, layers=2, time_features=5, knots=4, controls=2, observation=3)
    return Architecture(network=network, **{**sizes, **changes})


def policy(network="mlp", seed=0, **changes) -> Policy:
    """A policy whose output layer is not zero and whose normaliser is not the identity."""
    key = jax.random.key(seed)
    shape = architecture(network, **changes)
    rows = jax.random.uniform(jax.random.fold_in(key, 1), (3, shape.observation), minval=0.3)
    new = new_policy(shape, Normaliser(*rows), key)
    leaves, tree = jax.tree.flatten(new.weights)
    keys = jax.random.split(jax.random.fold_in(key, 2), len(leaves))
    moved = [
        leaf + 0.1 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)
    ]
    return Policy(jax.tree.unflatten(tree, moved), new.normaliser, shape)


def inputs(policy: Policy, count=5, seed=3) -> tuple[jnp.ndarray, jnp.ndarray, jnp.ndarray]:
    """Noise (count, K, nu), observation and last observation (nobs,)."""
    shape = policy.architecture
    keys = jax.random.split(jax.random.key(seed), 3)
    noise = jax.random.normal(keys[0], (count, shape.knots, shape.controls))
    now, last = (jax.random.normal(key, (shape.observation,)) for key in keys[1:])
    return noise, now, last
