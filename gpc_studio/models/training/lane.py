"""Collecting for generative predictive control: the policy draws part of the samples.

Lines 2 to 12 of Algorithm 1 of Kurtz & Burdick, arXiv 2502.13406.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from gpc_studio.controllers import splines
from gpc_studio.controllers.plan import Plan, Source
from gpc_studio.controllers.planner import Planner
from gpc_studio.controllers.proposals.base import Context
from gpc_studio.models.policy import Policy, sample, warm_start
from gpc_studio.models.training.fit import joined
from gpc_studio.models.training.options import GpcOptions
from gpc_studio.models.training.recording import Recorded, Recorder, recorder
from gpc_studio.scenes.plant import Plant
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.scenes.task import Task


class PolicySamples:
    """The policy in training as a proposal: a warm-started plan, then others from fresh noise.

    Attributes:
        parameters: The policy; replaced every round, traced.
    """

    name = "policy"
    source = Source.FLOW
    latent_size = 0

    def __init__(self, task: Task, policy: Policy, options: GpcOptions) -> None:
        self.parameters: Any = policy
        self._task, self._options = task, options
        low, high = task.policy_range.astype(np.float32)
        self._middle, self._half = 0.5 * (high + low), 0.5 * (high - low)

    def count(self, options: Any) -> int:
        """Number of samples."""
        del options
        return self._options.policy_samples

    def draw(
        self, parameters: Any, key: Array, count: int, context: Context, options: Any
    ) -> tuple[Array, None]:
        """Knots in actuator units (n, K, nu)."""
        del options
        noise = jax.random.normal(key, (count, *context.mean.shape))
        in_frame = self._task.to_policy_frame(context.state, context.previous)
        previous = (in_frame - self._middle) / self._half
        first = warm_start(noise[0], previous, self._options.warm_start)
        knots = sample(
            parameters,
            noise.at[0].set(first),
            context.observation,
            context.last_observation,
            self._options.flow_steps,
        )
        in_frame = self._middle + self._half * knots
        return self._task.from_policy_frame(context.state, in_frame), None


class Collected(NamedTuple):
    """What one round of collecting gave.

    Attributes:
        recorded: Planning steps, flat (n, ...).
        policy_best: Share of the states in which a sample of the policy was the cheapest.
        best_cost: Mean cost of the cheapest rollout.
        policy_cost: Mean cost of the policy's cheapest rollout.
        diverged: Number of episodes whose simulation could not go on.
    """

    recorded: Recorded
    policy_best: float
    best_cost: float
    policy_cost: float
    diverged: int


class Lane:
    """Some of the episodes of a round, with their own simulations and planner.

    Attributes:
        episodes: Number of episodes.
        observation: Entries of an observation.
        engine: Name of the engine that rolls out.
    """

    def __init__(
        self,
        task: Task,
        options: GpcOptions,
        planning: PlanningOptions,
        policy: Policy,
        weights: Mapping[str, float],
        *,
        episodes: int,
        threads: int,
    ) -> None:
        self.episodes = episodes
        self.observation = policy.architecture.observation
        self._task, self._options, self._planning = task, options, planning
        self._weights = weights
        self._proposal = PolicySamples(task, policy, options)
        self._planner = Planner(
            task,
            options.rule,
            planning,
            episodes=episodes,
            threads=threads,
            proposals=[self._proposal],
        )
        self.engine = self._planner.engine_name
        self._flow = np.flatnonzero(self._planner.source == Source.FLOW)
        by_policy = {"policy": 1, "best": 0, "both": np.arange(episodes) % 2 == 0}
        self._by_policy = np.broadcast_to(by_policy[options.advance], episodes)[:, None, None]
        self._plant = Plant(task.model, episodes, threads)
        self._record: Recorder = recorder(task, planning)
        period = max(1, round(1.0 / (planning.rate * task.dt)))
        basis = splines.basis(planning.spline, planning.knots, planning.horizon, task.dt)
        self._basis = basis[np.minimum(np.arange(period), len(basis) - 1)]  # (period, K)

    def collect(
        self, policy: Policy, seeds: np.ndarray, tick: Callable[[float], None]
    ) -> Collected:
        """Runs the episodes for their length."""
        self._proposal.parameters = policy
        for place, seed in enumerate(seeds):
            self._plant.place(place, self._task.reset(np.random.default_rng(int(seed))))
        rng = np.random.default_rng(seeds)
        state = self._plant.observe()
        memory = self._planner.start(state, seeds)
        alive = np.ones(self.episodes, bool)
        rows: list[Recorded] = []
        tallies: list[np.ndarray] = []
        for step in range(self._options.plans):
            tick(step / self._options.plans)
            before = memory
            memory, plan, _ = self._planner.step(before, state, self._planning, self._weights)
            rows.append(_select(self._record(state, before, plan.executed), alive))
            tallies.append(self._tally(plan)[:, alive])
            advance = self._plant.advance(self._controls(plan, rng))
            alive &= advance.diverged >= len(self._basis)
            state = self._sound(self._plant.observe(), alive)
        best, best_cost, policy_cost = np.concatenate(tallies, axis=1)
        return Collected(
            recorded=joined(*rows),
            policy_best=float(best.mean()),
            best_cost=_finite_mean(best_cost),
            policy_cost=_finite_mean(policy_cost),
            diverged=int(np.sum(~alive)),
        )

    def close(self) -> None:
        """Ends the threads of the engine."""
        self._planner.close()

    def _tally(self, plan: Plan) -> np.ndarray:
        """Whether the policy had the cheapest sample, the lowest cost, and the policy's (3, E)."""
        lowest = plan.cost.min(axis=1)
        own = plan.cost[:, self._flow].min(axis=1)
        return np.stack([np.isin(plan.best, self._flow), lowest, own])

    def _controls(self, plan: Plan, rng: np.random.Generator) -> np.ndarray:
        """Controls of one period (E, period, nu)."""
        options = self._options
        knots = np.where(self._by_policy, plan.knots[:, self._flow[0]], plan.executed)
        controls = self._basis @ knots.astype(np.float64)
        low, high = self._task.control_range
        if options.exploration:
            noise = rng.standard_normal((len(knots), 1, knots.shape[-1]))
            controls = controls + options.exploration * 0.5 * (high - low) * noise
        return np.clip(controls, low, high)

    def _sound(self, state: State, alive: np.ndarray) -> State:
        """The states, with those of diverged episodes put back to the model's default."""
        if alive.all() or (np.isfinite(state.qpos).all() and np.isfinite(state.qvel).all()):
            return state
        for place in np.flatnonzero(~alive):
            self._plant.place(int(place), None)
        return self._plant.observe()


def _select(recorded: Recorded, alive: np.ndarray) -> Recorded:
    return Recorded(*(np.asarray(value)[alive] for value in recorded))


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("inf")
