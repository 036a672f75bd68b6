"""Checkpoints for tests: random policies of the right shapes, which nobody trained."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

from gpc_studio.app.planners import default_options
from gpc_studio.app.session.pilot import Job, Outcome, Pilot
from gpc_studio.app.session.planning import make_plan
from gpc_studio.app.session.plant import Execution, Plant
from gpc_studio.controllers.costs import example_state
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.controllers.planner import Planner
from gpc_studio.models.architecture import Architecture
from gpc_studio.models.checkpoint import Checkpoint, PlanFacts, Provenance, save
from gpc_studio.models.library import path_for
from gpc_studio.models.policy import Normaliser, Policy, new_policy
from gpc_studio.scenes.task import Task


def untrained_policy(task: Task, *, knots: int, seed: int = 0, **architecture) -> Policy:
    """A policy whose output layer is not zero, so that its flow leads somewhere."""
    nobs = np.shape(task.observe(example_state(task)))[0]
    shape = Architecture(
        width=16, layers=2, knots=knots, controls=task.nu, observation=nobs, **architecture
    )
    key = jax.random.key(seed)
    new = new_policy(shape, Normaliser.identity(nobs), key)
    leaves, tree = jax.tree.flatten(new.weights)
    keys = jax.random.split(key, len(leaves))
    moved = [
        leaf + 0.15 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)
    ]
    return Policy(jax.tree.unflatten(tree, moved), new.normaliser, shape)


def save_untrained(task: Task, name: str, *, controller: str = "cem", **options) -> Path:
    """Saves one that fits a controller's plans, where the user's checkpoints are."""
    plan = default_options(task, controller)
    policy = untrained_policy(task, knots=plan.knots, **options)
    facts = PlanFacts(plan.horizon, plan.spline, plan.rate)
    origin = Provenance("offline", "none: random weights", 0, "none", 0.0)
    path = path_for(name)
    save(path, Checkpoint.of(task, policy, facts, origin))
    return path


def plans_in_a_row(planner: Planner, options: PlanningOptions, count: int) -> list[Outcome]:
    """Plans of an episode, ten steps of the plant apart."""
    task = planner.task
    plant, found, memory = Plant(task, 3), [], None
    for _ in range(count):
        pilot = Pilot(task, planner.spec.name, planner, options)
        job = Job(
            0, None, pilot, plant.step, plant.state(), memory, None, options,
            task.default_weights(), 0,
        )  # fmt: skip
        found.append(make_plan(job))
        memory = found[-1].after
        execution = Execution(plant.step, found[-1].plan.controls)
        for _ in range(10):
            plant.advance(1, execution)
        plant.observe()
    return found
