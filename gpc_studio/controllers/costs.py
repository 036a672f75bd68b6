"""Costs of rolled-out trajectories."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers.engines.base import Rollouts
from gpc_studio.scenes.state import Array, State
from gpc_studio.scenes.task import Task


def check_terms(task: Task) -> None:
    """Checks that the task's cost terms are those that it has weights for.

    Raises:
        ValueError: A term has no weight, a weight no term, or two terms have one name.
    """
    state = example_state(task)
    running = jax.eval_shape(task.cost_terms, state, np.zeros(task.nu, np.float32))
    terminal = jax.eval_shape(task.terminal_terms, state)
    both = sorted(set(running) & set(terminal))
    if both:
        raise ValueError(f"task {task.name}: {', '.join(both)} is a running and a terminal term")
    terms, weights = set(running) | set(terminal), set(task.weights)
    if terms != weights:
        parts = [
            f"without a weight: {', '.join(sorted(terms - weights))}" if terms - weights else "",
            f"weights without a term: {', '.join(sorted(weights - terms))}"
            if weights - terms
            else "",
        ]
        raise ValueError(f"task {task.name}: cost terms {'; '.join(p for p in parts if p)}")
    for name, value in {**running, **terminal}.items():
        if value.shape != ():
            raise ValueError(f"task {task.name}: cost term {name} must be a scalar, is {value}")


def example_state(task: Task) -> State:
    """A state of the task's model with the right shapes, float32, without leading axes."""
    model = task.model
    widths = {"qpos": model.nq, "qvel": model.nv, "act": model.na, "sensordata": model.nsensordata}
    zeros = {name: np.zeros(width, np.float32) for name, width in widths.items()}
    return State(
        time=np.zeros((), np.float32),
        mocap_pos=np.zeros((model.nmocap, 3), np.float32),
        mocap_quat=np.tile(np.eye(1, 4, dtype=np.float32), (model.nmocap, 1)),
        **zeros,
    )


def trajectory_terms(
    task: Task,
    weights: Array,
    state: State,
    rollouts: Rollouts,
    controls: Array,
) -> Array:
    """Weighted cost terms of one episode's trajectories.

    `dt * sum_t running(x_t, u_t)` for a running term, its value at x_T for a terminal one; each
    times its weight, and zero where that is zero. Diverged rollouts have no meaningful terms.

    Args:
        task: The task.
        weights: Weight of every term, in the order of `task.weights` (n_terms,).
        state: State planned from; gives the time and the mocap poses.
        rollouts: Without the episode axis: (D, T+1, ..., N).
        controls: (N, T, nu).

    Returns:
        (D, N, n_terms).
    """
    steps = controls.shape[1]
    times = state.time + task.dt * jnp.arange(steps + 1)

    def at(time: Array, qpos: Array, qvel: Array, act: Array, sensors: Array) -> State:
        return State(time, qpos, qvel, act, sensors, state.mocap_pos, state.mocap_quat)

    def running(time: Array, parts: Any, control: Array) -> dict[str, Array]:
        return task.cost_terms(at(time, *parts), control)

    def terminal(parts: Any) -> dict[str, Array]:
        return task.terminal_terms(at(times[-1], *parts))

    over_samples = jax.vmap(running, in_axes=(None, -1, -1), out_axes=-1)
    rates_of = jax.vmap(over_samples)
    controls = jnp.moveaxis(controls, 0, -1)

    def domain(parts: Any) -> Array:
        before = jax.tree.map(lambda x: x[:steps], parts)
        end = jax.tree.map(lambda x: x[steps], parts)
        rates = rates_of(times[:-1], before, controls)
        terms = {name: task.dt * jnp.sum(rate, axis=0) for name, rate in rates.items()}
        terms |= jax.vmap(terminal, in_axes=-1)(end)
        return jnp.stack([terms[name] for name in task.weights], axis=-1)

    parts = (rollouts.qpos, rollouts.qvel, rollouts.act, rollouts.sensordata)
    terms = jax.vmap(domain)(parts)
    return jnp.where(weights == 0, 0.0, terms * weights)  # a term that is off cannot spread NaN


def trajectory_costs(terms: Array, ok: Array) -> Array:
    """Sum of the terms (D, N, n_terms) -> (D, N); +inf where a rollout or its cost diverged."""
    cost = jnp.sum(terms, axis=-1)
    return jnp.where(ok & jnp.isfinite(cost), cost, jnp.inf)
