"""From planning steps to what a policy learns from, and back to its units."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from gpc_studio.controllers import splines
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.controllers.stages import Memory
    from gpc_studio.scenes.task import Mirror, Task


class Recorded(NamedTuple):
    """Planning steps of E episodes; controls in the policy frame, actuator units.

    Attributes:
        knots: (E, K, nu).
        previous: The plan before, shifted to now (E, K, nu): before the update, which is what the
            cosine weight needs (Kurtz & Burdick, eq. 33).
        observation: (E, nobs).
        last_observation: Observation at the plan before (E, nobs).
    """

    knots: Array
    previous: Array
    observation: Array
    last_observation: Array


Recorder = Callable[[State, "Memory", Array], Recorded]


def recorder(task: Task, options: PlanningOptions) -> Recorder:
    """The function that turns planning steps into what is learned from.

    Returns:
        A function of the states planned from, NumPy (E, ...), the planner's memory before the
        step, and the knots that the step gave (E, K, nu).
    """

    @jax.jit
    def record(state: State, passed: Array, executed: Array, last: Array, knots: Array) -> Recorded:
        def one(
            state: State, passed: Array, executed: Array, last: Array, knots: Array
        ) -> Recorded:
            previous = splines.shift(options.spline, executed, options.horizon, passed)
            return Recorded(
                knots=task.to_policy_frame(state, knots),
                previous=task.to_policy_frame(state, previous),
                observation=task.observe(state),
                last_observation=last,
            )

        return jax.vmap(one)(state, passed, executed, last, knots)

    def of(state: State, before: Memory, knots: Array) -> Recorded:
        passed = np.asarray(state.time, np.float64) - np.asarray(before.time, np.float64)
        numbers = State(*(np.asarray(value, np.float32) for value in state))
        return record(
            numbers, passed.astype(np.float32), before.executed, before.observation, knots
        )

    return of


def scaled(task: Task, controls: np.ndarray) -> np.ndarray:
    """Controls of the policy frame in the policy's own units, float32; beyond +-1 is cut off."""
    low, high = task.policy_range
    return np.clip(2.0 * (controls - low) / (high - low) - 1.0, -1.0, 1.0).astype(np.float32)


def mirrored(mirror: Mirror, recorded: Any) -> Any:
    """The mirror image of a `Recorded`, or of anything with its fields."""
    control, observation = np.array(mirror.control), np.array(mirror.observation)
    return recorded._replace(
        knots=recorded.knots * control,
        previous=recorded.previous * control,
        observation=recorded.observation * observation,
        last_observation=recorded.last_observation * observation,
    )
