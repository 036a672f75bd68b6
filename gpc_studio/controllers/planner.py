"""The planning step: sample, roll out, weigh, update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers import splines
from gpc_studio.controllers.costs import check_terms
from gpc_studio.controllers.engines.base import Engine, Rollouts, by_sample
from gpc_studio.controllers.engines.choose import make_engine, resolve_engine
from gpc_studio.controllers.options import PlanningOptions, compiled_part, rolls_out, static_part
from gpc_studio.controllers.plan import Plan, PlanTiming
from gpc_studio.controllers.proposals.base import Proposal, signature
from gpc_studio.controllers.proposals.choose import all_proposals
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.registry import controller as named_controller
from gpc_studio.controllers.rules.base import Candidates
from gpc_studio.controllers.stages import Memory, Stages
from gpc_studio.scenes.state import Array, State
from gpc_studio.scenes.task import Task


class Planner:
    """Plans for E episodes of one task with one controller.

    Everything between the plans is in the `Memory` that `start` and `step` return; a planner
    itself holds compiled code, the pool of the engine and buffers, and must be used by one
    thread at a time. Static options are fixed at construction: `accepts` tells whether other
    options fit.
    """

    def __init__(
        self,
        task: Task,
        controller: str | ControllerSpec,
        options: PlanningOptions,
        *,
        episodes: int = 1,
        threads: int = 0,
        seed: int = 0,
        proposals: Sequence[Proposal] = (),
    ) -> None:
        """Builds the engine; code is compiled at the first use, or by `compile`.

        Args:
            task: What to plan for.
            controller: Name or preset of rule and proposals.
            options: Options of the controller's `options_type`.
            episodes: Number of episodes planned in lock-step, E.
            threads: Threads of the native engine; 0: as many as cores.
            seed: Seed of the perturbed domains.
            proposals: Sources of samples besides the Gaussian and the previous plan.

        Raises:
            TypeError: The options are those of another controller.
            ValueError: The task's cost terms and weights differ, the engine does not exist for
                the task, or proposals are missing or draw too many samples.
        """
        spec = named_controller(controller) if isinstance(controller, str) else controller
        if not isinstance(options, spec.options_type):
            raise TypeError(
                f"controller {spec.name} takes {spec.options_type.__name__}, "
                f"got {type(options).__name__}"
            )
        check_terms(task)
        self.task, self.spec, self.episodes = task, spec, episodes
        self._static, self._options = static_part(options), options
        self.steps = splines.step_count(options.horizon, task.dt)
        self._knot_times = splines.knot_times(options.horizon, options.knots)
        self._proposals = all_proposals(spec, options, proposals)
        self._stages = Stages(
            task, spec.rule, options, self._proposals, episodes=episodes, steps=self.steps
        )
        self.engine_name, self._engine = "none", None
        if rolls_out(options):
            self.engine_name = resolve_engine(task, options.engine)
            self._engine = make_engine(
                task, options, episodes=episodes, steps=self.steps, threads=threads, seed=seed
            )

    @property
    def engine(self) -> Engine:
        """What rolls out.

        Raises:
            ValueError: The controller acts without rollouts.
        """
        if self._engine is None:
            raise ValueError(f"controller {self.spec.name} acts without rollouts")
        return self._engine

    @property
    def source(self) -> np.ndarray:
        """`Source` of every sample before the rule admits them (N,)."""
        return self._stages.source

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """Where the samples come from, in their order."""
        return self._proposals

    def accepts(self, options: PlanningOptions) -> bool:
        """Whether `step` takes these options without compiling anything."""
        return static_part(options) == self._static

    def shares_code(self, options: PlanningOptions) -> bool:
        """Whether other options fit the compiled code, apart from the proposals' parameters."""
        return compiled_part(options) == compiled_part(self._options)

    def sibling(self, options: PlanningOptions, proposals: Sequence[Proposal]) -> Planner | None:
        """A planner with other parameters of its proposals that shares code, engine and memory.

        Either may be used where the other was, by the same thread, and closing one closes both.

        Args:
            options: Options with which it `shares_code`.
            proposals: Proposals in place of those that this planner was given.

        Returns:
            The planner, or None if it needs other code.

        Raises:
            ValueError: Proposals are missing or draw too many samples.
        """
        if not self.shares_code(options):
            return None
        chosen = all_proposals(self.spec, options, proposals)
        if [signature(p) for p in chosen] != [signature(p) for p in self._proposals]:
            return None
        other = copy(self)
        other._proposals, other._options, other._static = chosen, options, static_part(options)
        return other

    def start(self, state: State, seeds: Sequence[int] | np.ndarray) -> Memory:
        """Memory before the first plan: the mean holds still.

        Args:
            state: States with leading axis E.
            seeds: Seed of every episode (E,).
        """
        keys = np.stack([np.asarray(jax.random.PRNGKey(int(seed))) for seed in seeds])
        packed = self._stages.layout.pack(state, np.zeros(self.episodes))
        distribution, executed, observation = self._stages.start(
            packed, self._stages.settings.vector(self._options, self.task.default_weights())
        )
        time = np.array(state.time, np.float64).reshape(self.episodes)
        return Memory(time, jnp.asarray(keys), distribution, executed, observation)

    def compile(self, state: State) -> None:
        """Compiles everything that `step` needs, so that the first real step does not stall."""
        memory = self.start(state, range(self.episodes))
        weights = self.task.default_weights()
        for _ in range(2):
            memory, _, _ = self.step(memory, state, self._options, weights)

    def step(
        self,
        memory: Memory,
        state: State,
        options: PlanningOptions,
        weights: Mapping[str, float],
    ) -> tuple[Memory, Plan, PlanTiming]:
        """Makes one plan for every episode.

        With several iterations, each is a planning step from the same state, in which "the plan
        before" is that of the iteration before.

        Args:
            memory: From `start` or the last `step`.
            state: States to plan from, NumPy, with leading axis E; times may differ.
            options: Options that this planner `accepts`.
            weights: Weight of every cost term by name.

        Returns:
            The memory for the next step, the plan as NumPy arrays with leading axis E, and the
            wall time of the parts.

        Raises:
            ValueError: The options need another planner, or a weight is missing.
        """
        if options is not self._options:
            if not self.accepts(options):
                raise ValueError("static options differ: make a new Planner for these options")
            self._options = options
        settings = self._stages.settings.vector(options, weights)
        time = np.array(state.time, np.float64).reshape(self.episodes)
        if self._engine is None:
            return self._step_without_rollouts(memory, state, time, settings)
        spent, parts, last = np.zeros(4), (), memory.observation
        for iteration in range(getattr(options, "iterations", 1)):
            memory = memory._replace(observation=last)  # of the plan before, not the iteration
            memory, parts, timing = self._iterate(memory, state, time, settings, iteration)
            spent += timing
        return memory, self._plan(time, *parts), PlanTiming(*spent.tolist())

    def close(self) -> None:
        """Ends the engine's threads and drops the compiled code; nothing works any more."""
        if self._engine is not None:
            self._engine.close()
        self._stages.close()

    def _iterate(
        self, memory: Memory, state: State, time: np.ndarray, settings: Array, iteration: int
    ) -> tuple[Memory, tuple[Any, ...], np.ndarray]:
        """One round of sampling, rolling out and updating."""
        began = perf_counter()
        packed = self._stages.layout.pack(state, time - memory.time)
        round_ = np.float32(iteration)
        parameters = tuple(proposal.parameters for proposal in self._proposals)
        known = memory._replace(time=())  # float64, and already in `packed`
        proposed = self._stages.propose(known, packed, parameters, settings, round_)
        controls = np.asarray(proposed.controls)
        sampled = perf_counter()
        rollouts = self.engine.rollout(state, controls)
        rolled = perf_counter()
        judged = self._stages.cost(rollouts, proposed.controls, packed, settings)
        costs = np.asarray(judged)
        weighed = perf_counter()
        distribution, executed, told = self._stages.update(proposed, judged, settings, round_)
        news = np.asarray(told)
        memory = Memory(time, proposed.key, distribution, executed, proposed.observation)
        ended = perf_counter()
        spent = np.diff([began, sampled, rolled, weighed, ended])
        return memory, (proposed.candidates, rollouts, costs, news), spent

    def _step_without_rollouts(
        self, memory: Memory, state: State, time: np.ndarray, settings: Array
    ) -> tuple[Memory, Plan, PlanTiming]:
        """A planning step that executes what was drawn, unseen."""
        began = perf_counter()
        packed = self._stages.layout.pack(state, time - memory.time)
        parameters = tuple(proposal.parameters for proposal in self._proposals)
        known = memory._replace(time=())
        key, observation, candidates, (distribution, executed, told) = self._stages.act(
            known, packed, parameters, settings
        )
        news = np.asarray(told)
        memory = Memory(time, key, distribution, executed, observation)
        spent = perf_counter() - began
        return memory, self._plan(time, candidates, None, None, news), PlanTiming(spent, 0, 0, 0)

    def _plan(
        self,
        time: np.ndarray,
        candidates: Candidates,
        rollouts: Rollouts | None,
        costs: np.ndarray | None,
        news: np.ndarray,
    ) -> Plan:
        """The plan of the last iteration as NumPy arrays."""
        if costs is None:
            costs = np.full((self.episodes, self._stages.judged.width), np.nan, np.float32)
        judged, told = self._stages.judged.unpack(costs), self._stages.told.unpack(news)
        latents = candidates.latents
        sensordata, qpos = self._paths(rollouts)
        return Plan(
            time=time,
            knot_times=time[:, None] + self._knot_times,
            knots=np.asarray(candidates.knots),
            source=told.source.astype(int),
            cost=judged.cost,
            cost_terms=judged.cost_terms,
            weight=told.weight,
            domain_cost=judged.domain_cost,
            mean=told.mean,
            std=told.std,
            executed=told.executed,
            controls=told.controls,
            best=told.best.astype(int),
            latents=None if latents is None else np.asarray(latents),
            traces=self._stages.layout.traces(sensordata),
            qpos=qpos,
        )

    def _paths(self, rollouts: Rollouts | None) -> tuple[np.ndarray, np.ndarray]:
        """Sensor readings and positions in the nominal domain, each (E, N, T+1, ...)."""
        if rollouts is None:
            model, empty = self.task.model, (self.episodes, 0, self.steps + 1)
            return np.zeros((*empty, model.nsensordata), np.float32), np.zeros((*empty, model.nq))
        sensordata, qpos = np.asarray(rollouts.sensordata), np.asarray(rollouts.qpos)
        return by_sample(sensordata)[:, 0], by_sample(qpos)[:, 0]
