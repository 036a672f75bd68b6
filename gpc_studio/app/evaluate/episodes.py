"""Episodes in lock-step: plan for all of them at once, advance all by one replanning period."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gpc_studio.app.evaluate.course import along
from gpc_studio.app.evaluate.starts import EpisodeStart
from gpc_studio.app.evaluate.statistics import median

if TYPE_CHECKING:
    from gpc_studio.app.evaluate.course import Measure
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.controllers.plan import Plan
    from gpc_studio.controllers.stages import Memory
    from gpc_studio.scenes.plant import Advance
    from gpc_studio.scenes.state import State
    from gpc_studio.scenes.task import Task


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode ended.

    Attributes:
        index: Number of the episode in the evaluation.
        seed: Its seed.
        success: Whether the success test held, without a break, for `Task.success_hold`.
        steps: Simulation steps until the success test held for good, that is until the first
            step of the hold that lasted; the length of the episode when there was no success.
        final_cost: Weighted running cost, per second, at the last state of the episode (when the
            hold was complete, or at the end of the time) under the control that led there; None
            when the simulation diverged.
        plan_ms: Median planning time, ms, of one planning step of the batch divided by the
            number of its episodes.
        diverged: Whether the simulation could not go on.
        winners: Share of the plans whose best sample came from a source, by its name; None when
            there is but one, or no policy among them.
        cem_ratio: Share of the plans whose best sample came from the controller's own distribution,
            its mean included, rather than from the policy: the CEM sample ratio of Brudermueller
            et al., "Generative Models From and For Sampling-Based MPC", 2025, Table I.
        measures: Figures of the run's measure.
    """

    index: int
    seed: int
    success: bool
    steps: int
    final_cost: float | None
    plan_ms: float
    diverged: bool = False
    winners: Mapping[str, float] | None = None
    cem_ratio: float | None = None
    measures: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class EpisodeRun:
    """Everything that a batch of episodes needs; it can be sent to another process.

    Attributes:
        task: Name or file of the task.
        controller: Name of the controller.
        options: Its options.
        weights: Weight of every cost term.
        episodes: The episodes to run.
        batch: Episodes planned for at once. Arrays always have this size, so that the same
            program is compiled and each episode always computes with the same bits.
        threads: Threads for rollouts; 0 takes one a core.
        measure: What is measured at every step.
    """

    task: str
    controller: str
    options: PlanningOptions
    weights: Mapping[str, float]
    episodes: Sequence[EpisodeStart]
    batch: int
    threads: int = 0
    measure: Measure | None = None


class Planned(NamedTuple):
    """The planning step that a period began with, for whoever keeps plans; leading axis E.

    Attributes:
        episodes: Index of the episode at every place, or None where all are done.
        state: States planned from.
        before: The planner's memory before the step.
        plan: The plan.
    """

    episodes: list[int | None]
    state: State
    before: Memory
    plan: Plan


class Period(NamedTuple):
    """What one replanning period of the batch brought.

    Attributes:
        results: The episodes that ended in it.
        underway: Simulated part of the episodes that have not ended, in episodes.
        planned: The planning step that it began with.
    """

    results: list[EpisodeResult]
    underway: float
    planned: Planned


@dataclass
class _Slot:
    """One place of the batch: the episodes that run in it, one after the other."""

    waiting: deque[EpisodeStart] = field(default_factory=deque)
    episode: EpisodeStart | None = None
    step: int = 0
    held_since: int | None = None
    succeeded_at: int | None = None
    plan_ms: list[float] = field(default_factory=list)
    winners: list[int] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    measured: np.ndarray | None = None  # values of the period under way

    def next_episode(self) -> EpisodeStart | None:
        self.episode = self.waiting.popleft() if self.waiting else None
        self.step, self.held_since, self.succeeded_at = 0, None, None
        self.plan_ms, self.winners, self.values = [], [], []
        return self.episode

    @property
    def ends_at_success(self) -> bool:
        return self.episode is not None and self.episode.steps is None


class LockStep:
    """Runs the episodes of an `EpisodeRun`.

    Episode i always runs at place i modulo `batch`, and takes nothing from the episodes at other
    places, so its result depends neither on them nor on how episodes are split over processes.
    A place whose episode ended takes its next one at the next planning step.
    """

    def __init__(self, run: EpisodeRun) -> None:
        """Loads the task and compiles the planner.

        Raises:
            TaskError: The task cannot be loaded.
            PolicyError: The controller's policy cannot be had.
        """
        from gpc_studio.app.environment import run_programs_inline
        from gpc_studio.app.planners import make_planner
        from gpc_studio.scenes import load_task
        from gpc_studio.scenes.plant import Plant

        run_programs_inline()
        self._run = run
        self._task = load_task(run.task)
        self._plant = Plant(self._task.model, run.batch, run.threads)
        self._planner = make_planner(
            self._task, run.controller, run.options, episodes=run.batch, threads=run.threads
        )
        self._cost = _running_cost(self._task, run.weights)
        self._values = run.measure.values(self._task) if run.measure is not None else None
        dt = self._task.dt
        self._period = max(1, round(1.0 / (run.options.rate * dt)))
        self._length = round(self._task.episode_seconds / dt)
        self._hold = round(self._task.success_hold / dt)
        self._slots = [_Slot() for _ in range(run.batch)]
        for episode in run.episodes:
            self._slots[episode.index % run.batch].waiting.append(episode)

    @property
    def engine(self) -> str:
        """Name of the engine that rolls out."""
        return self._planner.engine_name

    def periods(self) -> Iterator[Period]:
        """Runs all episodes, and yields after every replanning period what it brought."""
        memory = None
        fresh = np.ones(self._run.batch, dtype=bool)
        for place, slot in enumerate(self._slots):
            self._place(place, slot)
        try:
            self._planner.compile(self._plant.observe())
            while any(slot.episode for slot in self._slots):
                state = self._plant.observe()
                before = self._with_fresh_memory(memory, state, fresh)
                memory, plan = self._plan(before, state)
                at_work = [slot.episode.index if slot.episode else None for slot in self._slots]
                controls = self._controls(plan)
                advance = self._plant.advance(controls)
                fresh[:] = False
                results = []
                for place, result in self._finished(state, controls, advance):
                    results.append(result)
                    fresh[place] = True
                    self._place(place, self._slots[place])
                planned = Planned(at_work, state, before, plan)
                yield Period(results, self._underway(), planned)
        finally:
            self._planner.close()

    def _underway(self) -> float:
        return sum(slot.step / self._steps(slot) for slot in self._slots if slot.episode)

    def _place(self, place: int, slot: _Slot) -> None:
        episode = slot.next_episode()
        if episode is None:
            self._plant.place(place, None)
            return
        start = episode.state
        if start is None:
            start = self._task.reset(np.random.default_rng(episode.seed))
        self._plant.place(place, start)

    def _with_fresh_memory(self, memory: Any, state: State, fresh: np.ndarray) -> Any:
        """The planner's memory, new at the places of new episodes."""
        if memory is not None and not fresh.any():
            return memory
        import jax

        seeds = np.array([slot.episode.seed if slot.episode else 0 for slot in self._slots])
        new = self._planner.start(state, seeds)
        if memory is None:
            return new

        def choose(new_part: Any, old_part: Any) -> np.ndarray:
            mask = fresh.reshape(-1, *[1] * (new_part.ndim - 1))
            # In NumPy, since JAX would round the times, which are in double precision.
            return np.where(mask, np.asarray(new_part), np.asarray(old_part))

        return jax.tree.map(choose, new, memory)

    def _plan(self, memory: Any, state: State) -> tuple[Any, Plan]:
        begin = time.perf_counter()
        memory, plan, _ = self._planner.step(memory, state, self._run.options, self._run.weights)
        plan_ms = 1e3 * (time.perf_counter() - begin) / self._run.batch
        best = np.take_along_axis(plan.source, np.asarray(plan.best)[:, None], axis=1)[:, 0]
        for slot, winner in zip(self._slots, best.tolist(), strict=True):
            slot.plan_ms.append(plan_ms)
            slot.winners.append(winner)
        return memory, plan

    def _controls(self, plan: Plan) -> np.ndarray:
        """Controls of one period (E, period, nu); a plan shorter than that holds its last."""
        steps = np.minimum(np.arange(self._period), plan.controls.shape[1] - 1)
        return np.ascontiguousarray(plan.controls[:, steps], dtype=np.float64)

    def _finished(
        self, state: State, controls: np.ndarray, advance: Advance
    ) -> Iterator[tuple[int, EpisodeResult]]:
        values = None
        if self._values is not None:
            values = self._values(along(state, advance), controls)
        for place, slot in enumerate(self._slots):
            if slot.episode is not None:
                slot.measured = None if values is None else values[place]
                result = self._follow(place, slot, state, controls[place], advance)
                if result is not None:
                    yield place, result

    def _follow(
        self, place: int, slot: _Slot, state: State, controls: np.ndarray, advance: Advance
    ) -> EpisodeResult | None:
        """Applies the success test at every step of the period; the result if the episode ended."""
        from gpc_studio.scenes.plant import one_state

        if slot.step == 0:
            start = one_state(state, place)
            if self._succeeds(slot, start):
                return self._result(slot, start, controls[0])
        for k in range(min(self._period, self._steps(slot) - slot.step)):
            if k >= advance.diverged[place]:
                slot.succeeded_at = None
                return self._result(slot, None, controls[k])
            slot.step += 1
            if slot.measured is not None:
                slot.values.append(slot.measured[k])
            now = one_state(advance.states, place, k)
            if self._succeeds(slot, now) or slot.step == self._steps(slot):
                return self._result(slot, now, controls[k])
        return None

    def _steps(self, slot: _Slot) -> int:
        """Length of the episode at a place, in steps, if nothing ends it before."""
        assert slot.episode is not None
        return self._length if slot.episode.steps is None else slot.episode.steps

    def _succeeds(self, slot: _Slot, state: State) -> bool:
        """Whether the success test has held long enough at this state, and that is the end."""
        if not self._task.is_success(state):
            slot.held_since = None
            return False
        if slot.held_since is None:
            slot.held_since = slot.step
        if slot.succeeded_at is None and slot.step - slot.held_since >= self._hold:
            slot.succeeded_at = slot.held_since
        return slot.succeeded_at is not None and slot.ends_at_success

    def _result(self, slot: _Slot, final: State | None, control: np.ndarray) -> EpisodeResult:
        assert slot.episode is not None
        since = slot.succeeded_at
        return EpisodeResult(
            index=slot.episode.index,
            seed=slot.episode.seed,
            success=since is not None,
            steps=self._steps(slot) if since is None else since,
            final_cost=None if final is None else self._cost(final, control),
            plan_ms=median(slot.plan_ms) or 0.0,
            diverged=final is None,
            measures=self._figures(slot.values),
            **self._shares(slot.winners),
        )

    def _figures(self, values: Sequence[np.ndarray]) -> dict[str, Any] | None:
        """What is kept of the measure of an episode that has at least one step."""
        if self._run.measure is None or not values:
            return None
        return self._run.measure.figures(np.stack(values), self._task.dt)

    def _shares(self, winners: Sequence[int]) -> dict[str, Any]:
        """Which sources the best samples of an episode came from."""
        from gpc_studio.controllers.plan import Source

        sources = sorted(set(self._planner.source.tolist()))
        if len(sources) < 2 or int(Source.FLOW) not in sources:
            return {}
        share = {source: round(winners.count(source) / len(winners), 6) for source in sources}
        return {
            "winners": {Source(source).name.lower(): value for source, value in share.items()},
            "cem_ratio": round(1.0 - share[int(Source.FLOW)], 6),
        }


def _running_cost(
    task: Task, weights: Mapping[str, float]
) -> Callable[[State, np.ndarray], float | None]:
    """The weighted running cost of one state as a function."""
    import jax

    @jax.jit
    def cost(state: State, control: Any) -> Any:
        terms = task.cost_terms(state, control)
        return sum(weights[name] * term for name, term in terms.items())

    def finite_cost(state: State, control: np.ndarray) -> float | None:
        value = float(cost(state, control))
        return value if np.isfinite(value) else None

    return finite_cost
