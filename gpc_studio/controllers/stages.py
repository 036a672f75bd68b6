"""The stages of a planning step, compiled: propose, cost, update.

Written for one episode and vectorised over all. Between `propose` and `cost` an engine rolls out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers import risk, splines
from gpc_studio.controllers.costs import trajectory_costs, trajectory_terms
from gpc_studio.controllers.engines.base import Rollouts
from gpc_studio.controllers.layout import Layout, Rows, Settings
from gpc_studio.controllers.options import EXECUTE, PlanningOptions, code
from gpc_studio.controllers.proposals.base import Context, Proposal
from gpc_studio.controllers.rules.base import Candidates, Distribution, Rule
from gpc_studio.scenes.state import Array
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


class Proposed(NamedTuple):
    """Result of the first part of a step."""

    key: Array
    observation: Array
    distribution: Distribution
    candidates: Candidates
    controls: Array


class Judged(NamedTuple):
    """What the rollouts cost."""

    cost: Array
    domain_cost: Array
    cost_terms: Array


class Told(NamedTuple):
    """What people are told of an update."""

    source: Array
    weight: Array
    mean: Array
    std: Array
    executed: Array
    controls: Array
    best: Array


class Stages:
    """The compiled stages of one task, rule and set of proposals.

    Attributes:
        source: `Source` of every sample (N,).
        layout: How states travel.
        settings: How options and weights travel.
        judged: How costs travel: rows of `Judged`.
        told: How the news of an update travel: rows of `Told`.
        start: `_start`, compiled, as are the following.
        propose: `_propose`.
        cost: `_cost`.
        update: `_update`.
        act: `_act`.
    """

    def __init__(
        self,
        task: Task,
        rule: Rule,
        options: PlanningOptions,
        proposals: Sequence[Proposal],
        *,
        episodes: int,
        steps: int,
    ) -> None:
        """Compiles nothing yet.

        Args:
            task: What to plan for.
            rule: How costs move the distribution.
            options: Static options are taken from here.
            proposals: Where the samples come from, in their order.
            episodes: Episodes in lock-step, E.
            steps: Steps of a rollout, T.
        """
        self._task, self._rule, self._proposals = task, rule, tuple(proposals)
        self._episodes = episodes
        counts = [proposal.count(options) for proposal in proposals]
        self.source = np.repeat([int(p.source) for p in proposals], counts)
        self._low, self._high = task.control_range.astype(np.float32)
        self._basis = splines.basis(options.spline, options.knots, options.horizon, task.dt)
        self.layout, self.settings = Layout(task), Settings(task, options)
        count, plan, controls = len(self.source), (options.knots, task.nu), (steps, task.nu)
        self.judged = Rows(Judged((count,), (options.domains, count), (count, len(task.weights))))
        self.told = Rows(Told((count,), (count,), plan, plan, plan, controls, ()))
        self.start = jax.jit(self._start)
        self.propose = jax.jit(self._propose)
        self.cost = jax.jit(self._cost)
        self.update = jax.jit(self._update)
        self.act = jax.jit(self._act)

    def close(self) -> None:
        """Drops the compiled code at once: it refers to this object, and the other way round."""
        for name in ("start", "propose", "cost", "update", "act"):
            self.__dict__.pop(name, None)

    def _start(self, packed: Array, settings: Array) -> tuple[Distribution, Array, Array]:
        options = self.settings.options(settings)

        def one(row: Array) -> tuple[Distribution, Array, Array]:
            state, _ = self.layout.unpack(row)
            hold = jnp.clip(self._task.hold_control(state), self._low, self._high)
            mean = jnp.broadcast_to(hold, (options.knots, self._task.nu)).astype(jnp.float32)
            distribution = self._rule.start(mean, self._scale, options)
            return _strong(distribution), mean, self._task.observe(state)

        return jax.vmap(one)(packed)

    def _propose(
        self, memory: Memory, packed: Array, parameters: Any, settings: Array, iteration: Array
    ) -> Proposed:
        options = self.settings.options(settings)

        def one(
            key: Array, distribution: Distribution, executed: Array, last: Array, row: Array
        ) -> Proposed:
            state, passed = self.layout.unpack(row)
            key, *keys = jax.random.split(key, 1 + len(self._proposals))
            both = jnp.concatenate([distribution.mean, executed], axis=1)
            shifted = splines.shift(options.spline, both, options.horizon, passed)
            mean, previous = (self._clip(knots) for knots in jnp.split(shifted, 2, axis=1))
            distribution = distribution._replace(mean=mean)
            std = self._rule.spread(distribution, self._scale, options, iteration)
            observation = self._task.observe(state)
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
            candidates = self._rule.admit(
                jax.random.fold_in(key, _ADMISSION),
                distribution,
                Candidates(knots, jnp.asarray(self.source), latents),
                scale=self._scale,
                options=options,
            )
            candidates = candidates._replace(knots=self._clip(candidates.knots))
            controls = self._controls(candidates.knots)
            return Proposed(key, observation, distribution, candidates, controls)

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

    def _cost(self, rollouts: Rollouts, controls: Array, packed: Array, settings: Array) -> Array:
        """Rows of `Judged`."""
        options, weights = self.settings.options(settings), self.settings.weights(settings)

        def one(rollouts: Rollouts, controls: Array, row: Array) -> Array:
            state, _ = self.layout.unpack(row)
            terms = trajectory_terms(self._task, weights, state, rollouts, controls)
            domain_cost = trajectory_costs(terms, rollouts.ok)
            cost = risk.combine(domain_cost, options.risk_metric, options.risk_level)
            return self.judged.pack(Judged(cost, domain_cost, jnp.mean(terms, axis=0)))

        return jax.vmap(one)(rollouts, controls, packed)

    def _update(
        self, proposed: Proposed, judged: Array, settings: Array, iteration: Array
    ) -> tuple[Distribution, Array, Array]:
        """The next distribution, the executed knots and rows of `Told`."""
        options = self.settings.options(settings)

        def one(proposed: Proposed, row: Array) -> tuple[Distribution, Array, Array]:
            cost, candidates = self.judged.unpack(row).cost, proposed.candidates
            distribution, weight = self._rule.update(
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
            told = Told(
                candidates.source,
                weight,
                distribution.mean,
                distribution.std,
                executed,
                self._controls(executed),
                best,
            )
            return distribution, executed, self.told.pack(told)

        return jax.vmap(one)(proposed, judged)

    def _act(
        self, memory: Memory, packed: Array, parameters: Any, settings: Array
    ) -> tuple[Array, Array, Candidates, tuple[Distribution, Array, Array]]:
        """Key, observation and candidates, and the update of costs that nobody knows."""
        first = jnp.zeros(())
        proposed = self._propose(memory, packed, parameters, settings, first)
        unknown = jnp.full((self._episodes, self.judged.width), jnp.nan)
        updated = self._update(proposed, unknown, settings, first)
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
