"""A planner at work, and what passes between it and the plant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.controllers.plan import Plan, PlanTiming
from gpc_studio.scenes.state import State
from gpc_studio.scenes.task import Task


class PlannerLike(Protocol):
    """The methods of `controllers.planner.Planner` that a session needs."""

    def start(self, state: State, seeds: Any) -> Any:
        """Memory before the first plan."""
        ...

    def step(
        self, memory: Any, state: State, options: Any, weights: Any
    ) -> tuple[Any, Plan, PlanTiming]:
        """One plan; memory is never written to."""
        ...

    def accepts(self, options: Any) -> bool:
        """Whether it can plan with these options; called from any thread."""
        ...

    def compile(self, state: State) -> None:
        """Does beforehand what would delay the first step."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class MakePlanner(Protocol):
    """Makes a planner: by default `app.planners.make_planner`."""

    def __call__(
        self, task: Task, controller: str, options: PlanningOptions, *, threads: int
    ) -> PlannerLike:
        """A planner for one episode."""
        ...


@dataclass(frozen=True, eq=False)
class Pilot:
    """A compiled planner for a task.

    Attributes:
        task: The task.
        controller: Name of the controller.
        planner: The planner; used by the planner thread only, except `accepts`.
        options: The options that it was compiled with.
        family: Equal for pilots that share code, engine and memory, and differ in what they know,
            as in the weights of a policy: one may go on where another was, and only the last of
            them is closed.
    """

    task: Task
    controller: str
    planner: PlannerLike
    options: PlanningOptions
    family: object = field(default_factory=object)


class Job(NamedTuple):
    """A plan that is asked for.

    Attributes:
        generation: Counts up when plans under way become void.
        key: What the plan depends on besides the state; tells whether it is out of date.
        pilot: Who plans.
        step: Step of the plant that `state` belongs to.
        state: State to plan from.
        memory: Memory from the plan before, or None to start.
        previous: Plan in force, which a start carries on from, or None.
        options: Options for this plan.
        weights: Cost weights by name.
        seed: Seed of the episode.
    """

    generation: int
    key: Any
    pilot: Pilot
    step: int
    state: State
    memory: Any
    previous: tuple[State, Plan] | None
    options: PlanningOptions
    weights: Any
    seed: int


class Outcome(NamedTuple):
    """What became of a job.

    Attributes:
        job: The job.
        before: Memory that the plan was made from.
        after: Memory for the next plan.
        plan: The plan of this one episode, or None when there was an error.
        timing: Wall time of the step.
        error: What the planner raised, or None.
    """

    job: Job
    before: Any = None
    after: Any = None
    plan: Plan | None = None
    timing: PlanTiming | None = None
    error: Exception | None = None
