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

from gpc_studio.controllers.registry import default_options
from gpc_studio.models.architecture import Architecture
from gpc_studio.models.flow_matching import Batch
from gpc_studio.models.policy import Normaliser, Policy, new_policy
from gpc_studio.models.training.fit import Fit, FitState, examples_of, joined
from gpc_studio.models.training.lane import Collected, Lane
from gpc_studio.models.training.options import GpcOptions
from gpc_studio.models.training.recording import Recorded, mirrored, scaled
from gpc_studio.options import describe, updated
from gpc_studio.scenes.state import State

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.scenes.task import Task

LANE_EPISODES = 128
"""Episodes that one thread plans for; fixed, since results depend on it in the last bits."""

CHUNK = 250
"""Optimiser steps between two looks at whether to stop."""

Tick = Callable[[str, float], None]
"""Is told the stage and its part done, 0 to 1, several times a second; may raise to stop."""


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
        "execute": "mean",  # line 9 of Algorithm 1: the updated mean is what is learned
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
            Lane(task, options, planning, policy, weights, episodes=size, threads=threads)
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


def _lane_sizes(episodes: int) -> list[int]:
    count = -(-episodes // LANE_EPISODES)
    return [len(part) for part in np.array_split(np.arange(episodes), count)]


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


def _example(task: Task) -> State:
    from gpc_studio.controllers.costs import example_state

    return example_state(task)
