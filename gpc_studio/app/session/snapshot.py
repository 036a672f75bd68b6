"""The immutable picture of a session that front ends draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gpc_studio.app.session.pilot import Outcome
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.controllers.plan import Plan, PlanTiming
from gpc_studio.scenes.state import State
from gpc_studio.scenes.task import Task


class Timing(NamedTuple):
    """Honest timing, over the last second or so.

    Attributes:
        asked_rate: Planning rate asked for, Hz of simulation time.
        achieved_rate: Planning rate reached, Hz of simulation time.
        plan: Parts of the newest planning step, s of wall time.
        plan_age: Simulation time since the state that the executed plan was made from, s.
        real_time_factor: Simulated seconds per wall second.
        dropped_plans: Planning instants missed since the last reset.
    """

    asked_rate: float
    achieved_rate: float
    plan: PlanTiming
    plan_age: float
    real_time_factor: float
    dropped_plans: int


@dataclass(frozen=True)
class Message:
    """Something that a person should know.

    Attributes:
        number: Counts up in a session, so that a front end shows each message once.
        level: "info", "warning" or "error".
        title: What happened, in a few words.
        text: What it means and how to go on.
    """

    number: int
    level: str
    title: str
    text: str


class BySource(NamedTuple):
    """Figures of one planning step for each `Source`, in its order, each (n_sources,).

    Attributes:
        samples: Samples that came from it.
        elites: Those of them that are elites, see `controllers.plan.elites`.
        best: Cost of the cheapest of them; infinite without one of finite cost.
        ess: What they contribute to the effective sample size: it times their share of the weight,
            so that the sources add up to it.
        wins: Planning steps since the episode began, up to this one, whose cheapest sample came
            from it.
    """

    samples: np.ndarray
    elites: np.ndarray
    best: np.ndarray
    ess: np.ndarray
    wins: np.ndarray


@dataclass(frozen=True)
class PlanRecord:
    """The figures of one planning step that charts show over time.

    Attributes:
        time: Simulation time planned from, s.
        best: Cost of the cheapest sample.
        elite: Mean cost of the elites (cheapest tenth, at least one).
        mean: Mean cost of the samples with finite cost.
        terms: Weighted terms of the cheapest sample (n_terms,), in the order of `Task.weights`.
        best_source: `Source` of the cheapest sample.
        ess: Effective sample size, 1 / sum(weight^2).
        timing: Wall time of the step, s.
        achieved_rate: Planning rate at that moment, Hz.
        by_source: Figures for each source.
    """

    time: float
    best: float
    elite: float
    mean: float
    terms: np.ndarray
    best_source: int
    ess: float
    timing: PlanTiming
    achieved_rate: float
    by_source: BySource


@dataclass(frozen=True)
class Snapshot:
    """Plant, plan and timing at one moment. Nothing in it is ever written to.

    Attributes:
        number: Counts up with every snapshot.
        epoch: Counts up when task, controller or episode changes: what was drawn is void then.
        task: The task.
        controller: Name of the controller that made `plan`.
        wanted_controller: Name of the controller asked for; differs while it is being compiled.
        options: Options of `wanted_controller`.
        weights: Weight of every cost term by name.
        mode: "real-time" or "lock-step".
        paused: Whether the plant stands still.
        preparing: What is being compiled in the background, or "".
        speed: Wanted simulated seconds per wall second.
        seed: Seed of the episode.
        state: State of the plant, sensors current.
        control: Control in force (nu,).
        plan: Newest plan, or None before the first.
        path: Recent paths of the traced points, oldest first (M, S, 3).
        push: Point and force of an external push, world frame, (2, 3) m and N, or None.
        success: Whether the success test holds now (with its hold time).
        progress: `Task.progress` of the state.
        timing: See `Timing`.
        messages: Newest messages, oldest first.
        choices: Names that options can take of which they are known only now, by option.
        origin: What `plan` was made from and by whom, for those who look inside; None without one.
    """

    number: int
    epoch: int
    task: Task
    controller: str
    wanted_controller: str
    options: PlanningOptions
    weights: Mapping[str, float]
    mode: str
    paused: bool
    preparing: str
    speed: float
    seed: int
    state: State
    control: np.ndarray
    plan: Plan | None
    path: np.ndarray
    push: np.ndarray | None
    success: bool
    progress: Mapping[str, float]
    timing: Timing
    messages: tuple[Message, ...]
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: Outcome | None = None
