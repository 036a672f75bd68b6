"""Generative predictive control: rounds of collecting and fitting.

Algorithm 1 of Kurtz & Burdick, "Generative Predictive Control" (2025), arXiv 2502.13406: a
sampling-based controller, some of whose samples come from the policy, plans for many episodes in
lock-step; the policy is fitted to its plans; and again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from gpc_studio.controllers import splines
from gpc_studio.controllers.plan import Plan, Source
from gpc_studio.controllers.planner import Planner
from gpc_studio.controllers.proposals.base import Context
from gpc_studio.controllers.registry import default_options
from gpc_studio.models.architecture import Architecture
from gpc_studio.models.flow_matching import Batch
from gpc_studio.models.policy import Normaliser, Policy, new_policy, sample, warm_start
from gpc_studio.models.training.fit import Fit, FitState, examples_of, joined
from gpc_studio.models.training.options import GpcOptions
from gpc_studio.models.training.recording import Recorded, Recorder, mirrored, recorder, scaled
from gpc_studio.options import describe, updated
from gpc_studio.scenes.plant import Plant
from gpc_studio.scenes.state import Array, State

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.scenes.task import Task

LANE_EPISODES = 128
"""Episodes that one thread plans for; fixed, since results depend on it in the last bits."""

CHUNK = 250
"""Optimiser steps between two looks at whether to stop."""

Tick = Callable[[str, float], None]
"""Is told the stage and its part done, 0 to 1, several times a second; may raise to stop."""


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


class Round(NamedTuple):
    """What one round brought (Kurtz & Burdick, Fig. 5); times in s.

    Attributes:
        loss: Mean loss over the round's optimiser steps.
        policy_best: See `Collected`.
        best_cost: See `Collected`.
        policy_cost: See `Collected`.
        diverged: See `Collected`.
        examples: Number of examples.
        collect_seconds: Time of collecting.
        fit_seconds: Time of fitting.
    """

    loss: float
    policy_best: float
    best_cost: float
    policy_cost: float
    diverged: int
    examples: int
    collect_seconds: float
    fit_seconds: float


class GpcState(NamedTuple):
    """What passes from round to round.

    Attributes:
        fit: State of the fitting.
        normaliser: Of the observation: measured in the first round, then fixed, since the network
            has to see one state as one thing.
    """

    fit: FitState
    normaliser: Normaliser


def planning_options(task: Task, options: GpcOptions) -> PlanningOptions:
    """Options of the controller that collects.

    Args:
        task: The task.
        options: Options of the training.

    Raises:
        KeyError: There is no such rule.
        OptionError: An option is unknown or out of range.
    """
    planning = default_options(task, options.rule)
    known = describe(type(planning))
    own: dict[str, Any] = {
        "samples": 1 + options.gaussian_samples + options.policy_samples,
        "noise": options.noise,
        "ramp": 1.0,
    }
    own = {name: value for name, value in own.items() if name in known}
    return updated(planning, own)


class GpcTraining:
    """Training of one policy, a round at a time.

    Attributes:
        planning: Options of the controller that collects.
        engine: Name of the engine that rolls out.
        fit_steps: Optimiser steps a round.
    """

    def __init__(
        self,
        task: Task,
        options: GpcOptions,
        planning: PlanningOptions,
        *,
        weights: Mapping[str, float],
        seed: int,
    ) -> None:
        """Makes simulations and planners; code is compiled in the first round.

        Args:
            task: The task.
            options: Options of the training.
            planning: From `planning_options`.
            weights: Weight of every cost term.
            seed: Seed of everything.
        """
        self.planning = planning
        self._task, self._options, self._seed = task, options, seed
        key = jax.random.PRNGKey(seed)
        first, steps = jax.random.split(key)
        architecture = Architecture.of(
            options,
            knots=planning.knots,
            controls=task.nu,
            observation=jax.eval_shape(task.observe, _example(task)).shape[0],
        )
        identity = Normaliser.identity(architecture.observation)
        policy = new_policy(architecture, identity, first)
        self.fit_steps = max(
            1, round(options.epochs * options.episodes * options.plans / options.minibatch)
        )
        self._fit = Fit(policy, options, self.fit_steps * options.iterations, steps)
        sizes = _lane_sizes(options.episodes)
        threads = max(1, (os.cpu_count() or 1) // len(sizes))
        self._lanes = [
            _Lane(task, options, planning, policy, weights, episodes=size, threads=threads)
            for size in sizes
        ]
        self.engine = self._lanes[0].engine

    def start(self) -> GpcState:
        """The state before the first round."""
        fit = self._fit.start()
        return GpcState(fit, Normaliser.identity(self._lanes[0].observation))

    def round(self, state: GpcState, number: int, tick: Tick) -> tuple[GpcState, Round]:
        """Collects and fits.

        Args:
            state: Given up: use the one returned.
            number: Number of the round, from 0; seeds its episodes.
            tick: Is told how far it is.

        Raises:
            FloatingPointError: The loss is no longer finite.
        """
        began = time.perf_counter()
        collected = self._collect(self._fit.policy(*state), number, tick)
        examples = self._examples(collected.recorded)
        normaliser = state.normaliser
        if number == 0:
            normaliser = Normaliser.of(
                np.asarray(examples.observation), np.asarray(examples.last_observation)
            )
        halfway = time.perf_counter()
        fit, mean = self._fit_examples(state.fit, normaliser, examples, tick)
        ended = time.perf_counter()
        result = Round(
            loss=mean,
            examples=len(collected.recorded.knots),
            collect_seconds=halfway - began,
            fit_seconds=ended - halfway,
            policy_best=collected.policy_best,
            best_cost=collected.best_cost,
            policy_cost=collected.policy_cost,
            diverged=collected.diverged,
        )
        return GpcState(fit, normaliser), result

    def policy(self, state: GpcState) -> Policy:
        """The policy at a state."""
        return self._fit.policy(*state)

    def close(self) -> None:
        """Ends the threads of the engines."""
        for lane in self._lanes:
            lane.close()

    def _collect(self, policy: Policy, number: int, tick: Tick) -> Collected:
        """One round of episodes, lanes in parallel."""
        lanes = self._lanes
        if len(lanes) == 1:
            parts = [lanes[0].collect(policy, self._seeds(number)[0], lambda f: tick("collect", f))]
        else:
            with ThreadPoolExecutor(len(lanes)) as pool:
                stop = _Flag()
                runs = [
                    pool.submit(lane.collect, policy, seeds, stop.check)
                    for lane, seeds in zip(lanes, self._seeds(number), strict=True)
                ]
                try:
                    while not all(run.done() for run in runs):
                        tick("collect", stop.fraction)
                        time.sleep(0.02)
                except BaseException:
                    stop.raised = True
                    raise
                parts = [run.result() for run in runs]
        return _merged(parts)

    def _seeds(self, number: int) -> list[np.ndarray]:
        """Seeds of every episode of a round, by lane."""
        drawn = np.random.SeedSequence([self._seed, number]).generate_state(self._options.episodes)
        ends = np.cumsum([lane.episodes for lane in self._lanes])[:-1]
        return np.split(drawn >> 1, ends)

    def _examples(self, recorded: Recorded) -> Batch:
        mirror = self._task.mirror
        if self._options.mirror and mirror is not None:
            recorded = joined(recorded, mirrored(mirror, recorded))
        return examples_of(recorded, lambda controls: scaled(self._task, controls))

    def _fit_examples(
        self, state: FitState, normaliser: Normaliser, examples: Batch, tick: Tick
    ) -> tuple[FitState, float]:
        total, done = 0.0, 0
        while done < self.fit_steps:
            tick("fit", done / self.fit_steps)
            steps = min(CHUNK, self.fit_steps - done)
            state, mean = self._fit.run(state, normaliser, examples, steps)
            if not np.isfinite(mean):
                raise FloatingPointError(
                    "the loss is not finite: try a smaller learning rate (--learning-rate)"
                )
            total, done = total + mean * steps, done + steps
        return state, total / done


class _Flag:
    """Progress of the slowest thread, and the word to stop."""

    def __init__(self) -> None:
        self.fraction, self.raised = 0.0, False

    def check(self, fraction: float) -> None:
        self.fraction = fraction
        if self.raised:
            raise InterruptedError


class _Lane:
    """Some of the episodes, with their own simulations and planner."""

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


def _lane_sizes(episodes: int) -> list[int]:
    count = -(-episodes // LANE_EPISODES)
    return [len(part) for part in np.array_split(np.arange(episodes), count)]


def _select(recorded: Recorded, alive: np.ndarray) -> Recorded:
    return Recorded(*(np.asarray(value)[alive] for value in recorded))


def _merged(parts: list[Collected]) -> Collected:
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part.recorded.knots) for part in parts]
    averaged = {
        name: float(np.average([getattr(part, name) for part in parts], weights=sizes))
        for name in ("policy_best", "best_cost", "policy_cost")
    }
    return Collected(
        recorded=joined(*(part.recorded for part in parts)),
        diverged=sum(part.diverged for part in parts),
        **averaged,
    )


def _finite_mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("inf")


def _example(task: Task) -> State:
    from gpc_studio.controllers.costs import example_state

    return example_state(task)
