"""The flow policy as a proposal: samples that a controller rolls out, or executes as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers import splines
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.controllers.plan import Source
from gpc_studio.controllers.proposals.base import Context
from gpc_studio.models import policy as policies
from gpc_studio.scenes.state import Array, State
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    from gpc_studio.models.policy import Policy


class FlowProposal:
    """Draws plans from a flow-matching policy.

    A policy has its own knots, horizon and spline. Where those of the planner differ, its plans
    are read at the planner's knot times; beyond their end the last knot is held. The latents are
    the noise that the flow started from, in policy units.
    """

    name = "flow"
    source = Source.FLOW

    def __init__(
        self, task: Task, policy: Policy, options: PlanningOptions, *, horizon: float, spline: str
    ) -> None:
        """Takes a policy over.

        Args:
            task: The task planned for; gives frame and range of the policy.
            policy: The policy.
            options: Options of the planner.
            horizon: Time of the policy's last knot, s.
            spline: How the policy's knots are interpolated.
        """
        self._task = task
        self._shape = (policy.architecture.knots, policy.architecture.controls)
        self.latent_size = self._shape[0] * self._shape[1]
        low, high = task.policy_range.astype(np.float32)
        self._middle, self._half = 0.5 * (high + low), 0.5 * (high - low)
        here = (options.spline, options.knots, options.horizon)
        there = (spline, self._shape[0], horizon)
        parameters = {
            "policy": policy,
            "to_planner": splines.resampling(*there, splines.knot_times(here[2], here[1])),
            "to_policy": splines.resampling(*here, splines.knot_times(there[2], there[1])),
        }
        self.parameters: Any = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), parameters)

    def count(self, options: Any) -> int:
        """Number of samples."""
        return options.policy_samples(options.samples)

    def draw(
        self, parameters: Any, key: Array, count: int, context: Context, options: Any
    ) -> tuple[Array, Array]:
        """Plans in actuator units (n, K, nu), and their noise (n, latent_size).

        Sample i is the same however many are drawn.
        """
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))
        noise = jax.vmap(lambda key: jax.random.normal(key, self._shape))(keys)
        previous = self.to_policy(context.state, parameters["to_policy"] @ context.previous)
        start = policies.warm_start(noise, previous, options.warm_start)
        drawn = policies.sample(
            parameters["policy"], start, context.observation, context.last_observation,
            options.flow_steps,
        )  # fmt: skip
        knots = parameters["to_planner"] @ self.from_policy(context.state, drawn)
        return knots, start.reshape(count, -1)

    def to_policy(self, state: State, knots: Array) -> Array:
        """Actuator units to policy units (..., nu)."""
        return (self._task.to_policy_frame(state, knots) - self._middle) / self._half

    def from_policy(self, state: State, knots: Array) -> Array:
        """Policy units to actuator units (..., nu)."""
        return self._task.from_policy_frame(state, self._middle + self._half * knots)
