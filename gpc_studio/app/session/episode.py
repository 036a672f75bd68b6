"""One world under control: the plant, who plans for it, and what was planned so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpc_studio.app.session.history import History, record_of
from gpc_studio.app.session.pilot import Job, Outcome, Pilot
from gpc_studio.app.session.plant import Execution, Plant
from gpc_studio.app.session.rewind import Instant, RewindBuffer
from gpc_studio.app.session.snapshot import Timing
from gpc_studio.app.session.timing import RateMeter, RealTimeMeter
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.controllers.plan import Plan, PlanTiming
from gpc_studio.scenes.state import State

_NO_TIMING = PlanTiming(0.0, 0.0, 0.0, 0.0)


class Episode:
    """Decides when a plan is due and what it is made from. Used by the plant thread alone.

    Planning instants are steps of the plant, a period apart. In lock-step the plant waits at
    each of them for its plan. A plan depends on the state, the options, the weights and the memory
    of the plan before; when one of these changes while the plant stands at an instant, the plan is
    made again *from the same memory*, so that what follows depends only on where the values came
    to rest.

    Attributes:
        plant: The world.
        pilot: Who plans, or None.
        plan: Newest plan, or None before the first.
        origin: How `plan` was made, or None before the first.
        controller: Name of the controller that made `plan`, or "".
        execution: Controls in force, or None.
        epoch: See `Snapshot.epoch`.
        generation: Counts up when plans under way become void.
        busy: Whether a plan is under way.
        faulty: Whether the pilot raised; it is asked no more until this is cleared.
        dropped: Planning instants missed since the reset.
        history: Figures of the plans.
        real_time: How fast the simulation runs.
    """

    def __init__(self, plant: Plant, history: History) -> None:
        self.plant = plant
        self.pilot: Pilot | None = None
        self.plan: Plan | None = None
        self.origin: Outcome | None = None
        self.controller = ""
        self.execution: Execution | None = None
        self.epoch = 0
        self.generation = 0
        self.busy = False
        self.faulty = False
        self.dropped = 0
        self.history = history
        self.real_time = RealTimeMeter()
        self._rate = RateMeter()
        self._rewind = RewindBuffer()
        self._memory: Any = None
        self._before: tuple[int, Any] | None = None  # step of the newest plan, memory before it
        self._planned_from: State | None = None
        self._plan_pilot: Pilot | None = None
        self._planned_key: object = None
        self._timing = _NO_TIMING
        self._next = 0

    @property
    def planned_step(self) -> int | None:
        """Step of the newest planning instant that was asked for, or None."""
        return None if self._before is None else self._before[0]

    @property
    def flying(self) -> bool:
        """Whether there is a pilot that works."""
        return self.pilot is not None and not self.faulty

    @property
    def planned(self) -> bool:
        """Whether `plan` is of the pilot in charge."""
        return self.plan is not None and self._plan_pilot is self.pilot

    def begin(self, seed: int, plant: Plant | None = None) -> None:
        """Starts an episode, in a new world when there is one."""
        if plant is not None:
            self.plant = plant
        else:
            self.plant.reset(seed)
        self._new_epoch()
        self.history.clear()
        self._rewind.clear()
        self._rate.clear()
        self.dropped = 0
        self.faulty = False
        self._void(None, None)

    def take(self, pilot: Pilot, *, at_once: bool) -> Pilot | None:
        """Puts another pilot in charge; the plan in force stays until its first plan.

        One of the same family goes on with the memory of the one before.

        Args:
            pilot: Who plans from now on.
            at_once: Whether its first plan is due now rather than at the next planning instant.

        Returns:
            The pilot before, for closing, unless it is of the same family.
        """
        old, self.pilot = self.pilot, pilot
        related = old is not None and old.family is pilot.family
        if old is not None and old.controller != pilot.controller:
            self._new_epoch()
            self.history.clear()
        self.generation += 1
        self.faulty = False
        if at_once or self.planned_step == self.plant.step:
            self._next = self.plant.step
        if related:
            return None
        self._memory = None
        self._before = None
        return old

    def rewind(self, seconds: float) -> bool:
        """Goes back; plant and planner go on from there. Returns False if there is nothing yet."""
        instant = self._rewind.back_to(self.plant.time - seconds)
        if instant is None:
            return False
        self.plant.restore(instant.plant)
        self._new_epoch()
        self.history.truncate(self.plant.time)
        self._rate.clear()
        self.faulty = False
        memory = instant.memory if instant.planner is self._family else None
        self._void(memory, instant.execution)
        return True

    def period(self, options: PlanningOptions) -> int:
        """Steps of the plant between planning instants."""
        return max(1, round(1.0 / (options.rate * self.plant.dt)))

    def until_instant(self) -> int:
        """Steps until the next planning instant."""
        return max(0, self._next - self.plant.step)

    def due(self, key: object, *, standing: bool) -> bool:
        """Whether a plan should be asked for now.

        Args:
            key: What a plan depends on besides the state.
            standing: Whether a plan for the same step counts as out of date if `key` changed.
        """
        if self.busy or not self.flying:
            return False
        if self.plant.step >= self._next:
            return True
        return standing and key != self._planned_key

    def job(
        self, key: object, options: PlanningOptions, weights: Mapping[str, float], seed: int
    ) -> Job:
        """The plan to ask for, from the state as it is."""
        assert self.pilot is not None
        step, period = self.plant.step, self.period(options)
        again = self._before is not None and self._before[0] == step
        memory = self._before[1] if again and self._before is not None else self._memory
        if not again:
            self._remember(memory)
        if step >= self._next:
            late = step - self._next
            if self._before is not None:
                self.dropped += late // period
            self._next = step - late % period + period
        self._before = (step, memory)
        self._planned_key = key
        self.busy = True
        previous = None
        if memory is None and self.plan is not None and self._planned_from is not None:
            previous = (self._planned_from, self.plan)
        return Job(
            generation=self.generation,
            key=key,
            pilot=self.pilot,
            step=step,
            state=self.plant.state(),
            memory=memory,
            previous=previous,
            options=options,
            weights=weights,
            seed=seed,
        )

    def deliver(self, outcome: Outcome) -> Exception | None:
        """Takes a plan over, unless it is void by now; returns what the planner raised."""
        self.busy = False
        job = outcome.job
        if job.generation != self.generation:
            return None
        if outcome.plan is None or outcome.timing is None:
            self.faulty = True
            self._next = job.step  # the instant stays due
            self._before = None
            self._memory = job.memory
            return outcome.error
        self._before = (job.step, outcome.before)
        self._memory = outcome.after
        self.plan, self.controller = outcome.plan, job.pilot.controller
        self.origin, self._plan_pilot = outcome, job.pilot
        self.execution = Execution(job.step, outcome.plan.controls)
        self._planned_from = job.state
        self._timing = outcome.timing
        time = float(job.state.time)
        self._rate.mark(time)
        rate = self._rate.rate(self.plant.time)
        self.history.append(record_of(outcome.plan, outcome.timing, time, rate))
        return None

    def remember_unplanned(self, every: float) -> None:
        """Keeps an instant to rewind to when no plan did so for `every` seconds."""
        newest = self._rewind.newest
        if newest is None or self.plant.time - newest.plant.time >= every:
            self._remember(None)

    def timing(self, options: PlanningOptions) -> Timing:
        """See `Timing`."""
        planned = self.execution.step if self.execution is not None else self.plant.step
        return Timing(
            asked_rate=options.rate,
            achieved_rate=self._rate.rate(self.plant.time),
            plan=self._timing,
            plan_age=(self.plant.step - planned) * self.plant.dt,
            real_time_factor=self.real_time.factor,
            dropped_plans=self.dropped,
        )

    def _remember(self, memory: Any) -> None:
        self._rewind.add(Instant(self.plant.save(), self._family, memory, self.execution))

    @property
    def _family(self) -> object:
        return None if self.pilot is None else self.pilot.family

    def _new_epoch(self) -> None:
        self.epoch += 1

    def _void(self, memory: Any, execution: Execution | None) -> None:
        """Drops the plan and what is under way; the next one is made at once, from `memory`."""
        self.generation += 1
        self.plan = self.origin = None
        self._planned_from = None
        self.execution = execution
        self._memory = memory
        self._before = None
        self._next = self.plant.step
        self._timing = _NO_TIMING
        self.real_time.clear()
