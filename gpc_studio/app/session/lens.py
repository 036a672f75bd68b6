"""Looks into a plan that a flow policy had a part in: its samples on their way from the noise.

What a plan does not say is computed again, from the noise that it does keep (`Plan.latents`) and
from what the policy was shown then; nothing is drawn anew, so that at the end of the way are the
plan's own samples.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers import splines
from gpc_studio.controllers.costs import trajectory_costs, trajectory_terms
from gpc_studio.controllers.engines.analytic import AnalyticEngine
from gpc_studio.controllers.engines.base import Engine, Rollouts, by_sample
from gpc_studio.controllers.engines.choose import resolve_engine
from gpc_studio.controllers.engines.native import NativeEngine
from gpc_studio.controllers.layout import Layout
from gpc_studio.controllers.plan import Plan, Source
from gpc_studio.controllers.proposals.base import signature
from gpc_studio.models import policy as policies
from gpc_studio.models.proposal import FlowProposal
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    from collections.abc import Hashable

    from gpc_studio.app.session.pilot import Outcome

MOST = 128
"""Samples that are rolled out again: more than that are never drawn."""


class FlowPart(NamedTuple):
    """The part of a plan that came from a flow policy.

    Attributes:
        proposal: The policy.
        rows: Where its samples are in the plan, also those that the rule replaced by others.
        kept: Which of these rows are still its own (n,).
    """

    proposal: FlowProposal
    rows: slice
    kept: np.ndarray


def flow_part(origin: Outcome | None) -> FlowPart | None:
    """The policy's part in a plan; None if there is none."""
    if origin is None or origin.plan is None or origin.plan.latents is None:
        return None
    first = 0
    for proposal in getattr(origin.job.pilot.planner, "proposals", ()):
        count = proposal.count(origin.job.options)
        if isinstance(proposal, FlowProposal) and count:
            rows = slice(first, first + count)
            return FlowPart(proposal, rows, np.asarray(origin.plan.source[rows]) == Source.FLOW)
        first += count
    return None


class Lens:
    """Code for plans of one task with one kind of policy; used by one thread at a time.

    A policy whose weights changed is seen through the same lens, without compiling again.
    """

    def __init__(self, origin: Outcome, part: FlowPart) -> None:
        """Compiles nothing yet.

        Args:
            origin: A plan to look into.
            part: The policy's part in it.
        """
        job = origin.job
        self._task, self._options = job.pilot.task, job.options
        self._proposal = part.proposal
        self._layout = Layout(self._task)
        self._limits = self._task.control_range.astype(np.float32)
        options = self._options
        basis = splines.basis(options.spline, options.knots, options.horizon, self._task.dt)
        self._basis = basis.astype(np.float32)
        self._engine: Engine | None = None
        self._units = jax.jit(self._trace_units)
        self._flow = jax.jit(partial(self._trace_flow, steps=options.flow_steps))  # type: ignore
        self._drive = jax.jit(self._trace_drive)
        self._cost = jax.jit(self._trace_cost)

    @staticmethod
    def kind(origin: Outcome, part: FlowPart) -> Hashable:
        """Equal for plans that can be seen through the same lens."""
        job, options = origin.job, origin.job.options
        plan = (options.spline, options.knots, options.horizon, options.engine)
        rows = part.rows.stop - part.rows.start
        steps = options.flow_steps  # type: ignore[attr-defined]
        return (id(job.pilot.task), signature(part.proposal), plan, rows, steps)

    def units(self, origin: Outcome) -> np.ndarray:
        """All candidates in policy units, at the planner's knot times (N, K * nu)."""
        assert origin.plan is not None
        knots = np.asarray(origin.plan.knots, np.float32)
        return np.asarray(self._units(_single(origin.job.state), knots)).reshape(len(knots), -1)

    def beside_units(self, part: FlowPart, points: np.ndarray) -> np.ndarray:
        """The policy's points (..., L) at the planner's knot times, as `units` are (..., K * nu).

        A policy may have knots and a horizon of its own.
        """
        resample = np.asarray(part.proposal.parameters["to_planner"])  # (K, K of the policy)
        knots = points.reshape(*points.shape[:-1], resample.shape[1], -1)
        return (resample @ knots).reshape(*points.shape[:-1], -1)

    def flow(self, origin: Outcome, part: FlowPart) -> np.ndarray:
        """The policy's samples on the way, at t = 0, 1/steps, ..., 1, policy units.

        Only those that were not replaced (steps + 1, n, L).
        """
        assert origin.plan is not None and origin.plan.latents is not None
        job = origin.job
        noise = np.asarray(origin.plan.latents, np.float32)[part.rows]
        last = np.asarray(origin.before.observation, np.float32)[0]
        points = self._flow(part.proposal.parameters, _single(job.state), last, noise)
        return np.asarray(points)[:, part.kept]

    def roll_out(self, origin: Outcome, part: FlowPart, points: np.ndarray, weights: Any) -> Plan:
        """A plan with nothing but the policy's samples in it, as they are at some time.

        Args:
            origin: The plan that they belong to.
            part: The policy's part in it.
            points: The samples in policy units (n, L); at most `MOST` of them are taken.
            weights: Weight of every cost term by name.

        Returns:
            The origin's plan with other candidates and what became of them.
        """
        plan, state = origin.plan, _single(origin.job.state)
        assert plan is not None
        count = min(len(points), MOST)
        room = min(part.rows.stop - part.rows.start, MOST)
        rows = np.arange(part.rows.start, part.rows.stop)[part.kept][:count]
        padded = np.zeros((room, points.shape[1]), np.float32)
        padded[:count] = points[:count]
        knots, controls = self._drive(part.proposal.parameters, state, padded)
        if self._engine is None:
            self._engine = self._make_engine(room)
        batch = State(*(np.asarray(value)[None] for value in state))
        rollouts = self._engine.rollout(batch, np.asarray(controls)[None])
        scale = np.array([weights[name] for name in self._task.weights], np.float32)
        terms, cost = (np.asarray(x)[:count] for x in self._cost(rollouts, controls, state, scale))
        sensordata, qpos = (
            by_sample(np.asarray(values))[0, 0, :count]
            for values in (rollouts.sensordata, rollouts.qpos)
        )
        return plan._replace(
            knots=np.asarray(knots)[:count],
            source=np.full(count, int(Source.FLOW)),
            cost=cost,
            cost_terms=terms,
            weight=np.asarray(plan.weight)[rows],
            domain_cost=cost[None],
            best=int(np.argmin(cost)) if count else 0,
            latents=np.asarray(plan.latents)[rows],
            traces=self._layout.traces(sensordata),
            qpos=qpos,
        )

    def close(self) -> None:
        """Ends the engine's threads."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _make_engine(self, samples: int) -> Engine:
        """An engine on the nominal model; with one thread, so that the planner keeps the others."""
        model = self._task.model
        if resolve_engine(self._task, self._options.engine) == "analytic":
            dynamics = self._task.dynamics()
            assert dynamics is not None
            return AnalyticEngine(dynamics, [model])
        return NativeEngine([model], 1, samples, len(self._basis), threads=1)

    # Traced functions.

    def _trace_units(self, state: State, knots: Array) -> Array:
        return self._proposal.to_policy(state, knots)

    def _trace_flow(
        self, parameters: Any, state: State, last: Array, noise: Array, steps: int
    ) -> Array:
        policy = parameters["policy"]
        shape = (policy.architecture.knots, policy.architecture.controls)
        points = policies.flow(
            policy, noise.reshape(-1, *shape), self._task.observe(state), last, steps
        )
        return points.reshape(*points.shape[:2], -1)

    def _trace_drive(self, parameters: Any, state: State, points: Array) -> tuple[Array, Array]:
        """Knots (n, K, nu) and controls (n, T, nu) within the limits."""
        policy = parameters["policy"]
        shape = (policy.architecture.knots, policy.architecture.controls)
        drawn = self._proposal.from_policy(state, points.reshape(-1, *shape))
        knots = jnp.clip(parameters["to_planner"] @ drawn, *self._limits)
        return knots, jnp.clip(jnp.asarray(self._basis) @ knots, *self._limits)

    def _trace_cost(
        self, rollouts: Rollouts, controls: Array, state: State, weights: Array
    ) -> tuple[Array, Array]:
        """Terms (n, n_terms) and costs (n,) in the one domain."""
        single = Rollouts(*(value[0] for value in rollouts))
        terms = trajectory_terms(self._task, weights, state, single, controls)
        return terms[0], trajectory_costs(terms, single.ok)[0]


def at_time(points: np.ndarray, time: float) -> np.ndarray:
    """Samples at a flow time in [0, 1] out of the points on their way (steps + 1, n, L).

    Between two Euler steps the way is straight. Returns (n, L).
    """
    steps = len(points) - 1
    place = float(np.clip(time, 0.0, 1.0)) * steps
    before = min(int(place), steps - 1)
    share = np.float32(place - before)
    return (1 - share) * points[before] + share * points[before + 1]


def _single(state: State) -> State:
    return State(*(np.asarray(value, np.float32) for value in state))
