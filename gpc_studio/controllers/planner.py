"""The planning step: sample, roll out, weigh, update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from time import perf_counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers import domains, risk, splines
from gpc_studio.controllers.costs import check_terms, trajectory_costs, trajectory_terms
from gpc_studio.controllers.engines.analytic import AnalyticEngine
from gpc_studio.controllers.engines.base import Engine, Rollouts, by_sample
from gpc_studio.controllers.engines.native import NativeEngine
from gpc_studio.controllers.layout import Layout, Rows, Settings
from gpc_studio.controllers.options import (
    EXECUTE,
    PlanningOptions,
    code,
    compiled_part,
    rolls_out,
    static_part,
)
from gpc_studio.controllers.plan import Plan, PlanTiming
from gpc_studio.controllers.proposals.base import Context, Proposal, signature
from gpc_studio.controllers.proposals.choose import all_proposals
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.registry import controller as named_controller
from gpc_studio.controllers.rules.base import Candidates, Distribution
from gpc_studio.scenes.state import Array, State
from gpc_studio.scenes.task import Task

_ADMISSION = 2**31 - 1  # folded into the key for what a rule draws itself


class Memory(NamedTuple):
    """What passes from plan to plan, a pytree of arrays with leading axis E.

    Attributes:
        time: Simulation time of the last plan, s, float64 (E,).
        key: PRNG key (E, 2).
        distribution: Distribution after the last update.
        executed: Knots executed since the last plan (E, K, nu).
        observation: Observation at the last plan (E, nobs).
    """

    time: Array
    key: Array
    distribution: Distribution
    executed: Array
    observation: Array


class _Proposed(NamedTuple):
    """Result of the first part of a step."""

    key: Array
    observation: Array
    distribution: Distribution
    candidates: Candidates
    controls: Array


class _Judged(NamedTuple):
    """What the rollouts cost."""

    cost: Array
    domain_cost: Array
    cost_terms: Array


class _Told(NamedTuple):
    """What people are told of an update."""

    source: Array
    weight: Array
    mean: Array
    std: Array
    executed: Array
    controls: Array
    best: Array


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
        self._settings = Settings(task, options)
        self.steps = splines.step_count(options.horizon, task.dt)
        self._proposals = all_proposals(spec, options, proposals)
        counts = [proposal.count(options) for proposal in self._proposals]
        self.source = np.repeat([int(p.source) for p in self._proposals], counts)
        self._low, self._high = task.control_range.astype(np.float32)
        self._basis = splines.basis(options.spline, options.knots, options.horizon, task.dt)
        self._knot_times = splines.knot_times(options.horizon, options.knots)
        self._layout = Layout(task)
        count, plan = len(self.source), (options.knots, task.nu)
        self._judged = Rows(_Judged((count,), (options.domains, count), (count, len(task.weights))))
        controls = (self.steps, task.nu)
        self._told = Rows(_Told((count,), (count,), plan, plan, plan, controls, ()))
        self.engine_name = resolve_engine(task, options.engine) if rolls_out(options) else "none"
        self._engine = self._make_engine(options, threads, seed) if rolls_out(options) else None
        self._start = jax.jit(self._trace_start)
        self._propose = jax.jit(self._trace_propose)
        self._cost = jax.jit(self._trace_cost)
        self._update = jax.jit(self._trace_update)
        self._act = jax.jit(self._trace_act)

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
        packed = self._layout.pack(state, np.zeros(self.episodes))
        distribution, executed, observation = self._start(
            packed, self._settings.vector(self._options, self.task.default_weights())
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
        settings = self._settings.vector(options, weights)
        time = np.array(state.time, np.float64).reshape(self.episodes)
        if self._engine is None:
            return self._step_without_rollouts(memory, state, time, settings)
        spent, parts = np.zeros(4), ()
        for iteration in range(getattr(options, "iterations", 1)):
            memory, parts, timing = self._iterate(memory, state, time, settings, iteration)
            spent += timing
        return memory, self._plan(time, *parts), PlanTiming(*spent.tolist())

    def close(self) -> None:
        """Ends the engine's threads."""
        if self._engine is not None:
            self._engine.close()

    def _iterate(
        self, memory: Memory, state: State, time: np.ndarray, settings: Array, iteration: int
    ) -> tuple[Memory, tuple[Any, ...], np.ndarray]:
        """One round of sampling, rolling out and updating."""
        began = perf_counter()
        packed = self._layout.pack(state, time - memory.time)
        round_ = np.float32(iteration)
        parameters = tuple(proposal.parameters for proposal in self._proposals)
        known = memory._replace(time=())  # float64, and already in `packed`
        proposed = self._propose(known, packed, parameters, settings, round_)
        controls = np.asarray(proposed.controls)
        sampled = perf_counter()
        rollouts = self.engine.rollout(state, controls)
        rolled = perf_counter()
        judged = self._cost(rollouts, proposed.controls, packed, settings)
        costs = np.asarray(judged)
        weighed = perf_counter()
        distribution, executed, told = self._update(proposed, judged, settings, round_)
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
        packed = self._layout.pack(state, time - memory.time)
        parameters = tuple(proposal.parameters for proposal in self._proposals)
        known = memory._replace(time=())
        key, observation, candidates, (distribution, executed, told) = self._act(
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
            costs = np.full((self.episodes, self._judged.width), np.nan, np.float32)
        judged, told = self._judged.unpack(costs), self._told.unpack(news)
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
            traces=self._layout.traces(sensordata),
            qpos=qpos,
        )

    def _paths(self, rollouts: Rollouts | None) -> tuple[np.ndarray, np.ndarray]:
        """Sensor readings and positions in the nominal domain, each (E, N, T+1, ...)."""
        if rollouts is None:
            model, empty = self.task.model, (self.episodes, 0, self.steps + 1)
            return np.zeros((*empty, model.nsensordata), np.float32), np.zeros((*empty, model.nq))
        sensordata, qpos = np.asarray(rollouts.sensordata), np.asarray(rollouts.qpos)
        return by_sample(sensordata)[:, 0], by_sample(qpos)[:, 0]

    def _make_engine(self, options: PlanningOptions, threads: int, seed: int) -> Engine:
        models = domains.draw(self.task, options.domains, seed)
        if self.engine_name == "analytic":
            dynamics = self.task.dynamics()
            assert dynamics is not None
            return AnalyticEngine(dynamics, models)
        return NativeEngine(models, self.episodes, options.samples, self.steps, threads)

    # Traced functions: written for one episode, vectorised over all.

    def _trace_start(self, packed: Array, settings: Array) -> tuple[Distribution, Array, Array]:
        options = self._settings.options(settings)

        def one(row: Array) -> tuple[Distribution, Array, Array]:
            state, _ = self._layout.unpack(row)
            hold = jnp.clip(self.task.hold_control(state), self._low, self._high)
            mean = jnp.broadcast_to(hold, (options.knots, self.task.nu)).astype(jnp.float32)
            distribution = self.spec.rule.start(mean, self._scale, options)
            return _strong(distribution), mean, self.task.observe(state)

        return jax.vmap(one)(packed)

    def _trace_propose(
        self, memory: Memory, packed: Array, parameters: Any, settings: Array, iteration: Array
    ) -> _Proposed:
        options = self._settings.options(settings)

        def one(
            key: Array, distribution: Distribution, executed: Array, last: Array, row: Array
        ) -> _Proposed:
            state, passed = self._layout.unpack(row)
            key, *keys = jax.random.split(key, 1 + len(self._proposals))
            both = jnp.concatenate([distribution.mean, executed], axis=1)
            shifted = splines.shift(options.spline, both, options.horizon, passed)
            mean, previous = (self._clip(knots) for knots in jnp.split(shifted, 2, axis=1))
            distribution = distribution._replace(mean=mean)
            std = self.spec.rule.spread(distribution, self._scale, options, iteration)
            observation = self.task.observe(state)
            context = Context(
                state=state,
                mean=mean,
                std=std,
                previous=previous,
                observation=observation,
                last_observation=last,
                low=jnp.asarray(self._low),
                high=jnp.asarray(self._high),
                extra=distribution.extra,
            )
            knots, latents = self._draw(parameters, keys, context, options)
            candidates = self.spec.rule.admit(
                jax.random.fold_in(key, _ADMISSION),
                distribution,
                Candidates(knots, jnp.asarray(self.source), latents),
                scale=self._scale,
                options=options,
            )
            candidates = candidates._replace(knots=self._clip(candidates.knots))
            controls = self._controls(candidates.knots)
            return _Proposed(key, observation, distribution, candidates, controls)

        return jax.vmap(one)(
            memory.key, memory.distribution, memory.executed, memory.observation, packed
        )

    def _draw(
        self, parameters: Any, keys: Sequence[Array], context: Context, options: Any
    ) -> tuple[Array, Array | None]:
        """Knots and latents of the samples of all proposals, in their order."""
        size = max(proposal.latent_size for proposal in self._proposals)
        knots, latents = [], []
        for proposal, own, key in zip(self._proposals, parameters, keys, strict=True):
            count = proposal.count(options)
            if count == 0:
                continue
            drawn, latent = proposal.draw(own, key, count, context, options)
            knots.append(drawn)
            latents.append(jnp.zeros((count, size)) if latent is None else latent)
        return jnp.concatenate(knots), jnp.concatenate(latents) if size else None

    def _trace_cost(
        self, rollouts: Rollouts, controls: Array, packed: Array, settings: Array
    ) -> Array:
        """Rows of `_Judged`."""
        options, weights = self._settings.options(settings), self._settings.weights(settings)

        def one(rollouts: Rollouts, controls: Array, row: Array) -> Array:
            state, _ = self._layout.unpack(row)
            terms = trajectory_terms(self.task, weights, state, rollouts, controls)
            domain_cost = trajectory_costs(terms, rollouts.ok)
            cost = risk.combine(domain_cost, options.risk_metric, options.risk_level)
            return self._judged.pack(_Judged(cost, domain_cost, jnp.mean(terms, axis=0)))

        return jax.vmap(one)(rollouts, controls, packed)

    def _trace_update(
        self, proposed: _Proposed, judged: Array, settings: Array, iteration: Array
    ) -> tuple[Distribution, Array, Array]:
        """The next distribution, the executed knots and rows of `_Told`."""
        options = self._settings.options(settings)

        def one(proposed: _Proposed, row: Array) -> tuple[Distribution, Array, Array]:
            cost, candidates = self._judged.unpack(row).cost, proposed.candidates
            distribution, weight = self.spec.rule.update(
                proposed.distribution,
                candidates,
                cost,
                scale=self._scale,
                options=options,
                iteration=iteration,
            )
            distribution = _strong(distribution._replace(mean=self._clip(distribution.mean)))
            best = jnp.argmin(cost)
            mean = code(EXECUTE, "mean")
            executed = jnp.where(
                getattr(options, "execute", mean) != mean,
                candidates.knots[best],
                distribution.mean,
            )
            told = _Told(
                candidates.source,
                weight,
                distribution.mean,
                distribution.std,
                executed,
                self._controls(executed),
                best,
            )
            return distribution, executed, self._told.pack(told)

        return jax.vmap(one)(proposed, judged)

    def _trace_act(
        self, memory: Memory, packed: Array, parameters: Any, settings: Array
    ) -> tuple[Array, Array, Candidates, tuple[Distribution, Array, Array]]:
        """Key, observation and candidates, and the update of costs that nobody knows."""
        first = jnp.zeros(())
        proposed = self._trace_propose(memory, packed, parameters, settings, first)
        unknown = jnp.full((self.episodes, self._judged.width), jnp.nan)
        updated = self._trace_update(proposed, unknown, settings, first)
        return proposed.key, proposed.observation, proposed.candidates, updated

    @property
    def _scale(self) -> np.ndarray:
        return 0.5 * (self._high - self._low)

    def _clip(self, values: Array) -> Array:
        return jnp.clip(values, self._low, self._high)

    def _controls(self, knots: Array) -> Array:
        """Controls within the limits: (..., K, nu) -> (..., T, nu)."""
        return self._clip(jnp.asarray(self._basis, jnp.float32) @ knots)


def _strong(tree: Any) -> Any:
    """Fixes the types of a pytree: a weakly typed number in it would compile the next step anew."""
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, jnp.result_type(x)), tree)


def resolve_engine(task: Task, engine: str) -> str:
    """The engine that "auto" stands for on a task: its own dynamics if it has them.

    Raises:
        ValueError: "analytic" for a task without dynamics.
    """
    has_dynamics = task.dynamics() is not None
    if engine == "analytic" and not has_dynamics:
        raise ValueError(f"task {task.name} has no analytic dynamics: choose engine auto or native")
    if engine == "auto":
        return "analytic" if has_dynamics else "native"
    return engine
