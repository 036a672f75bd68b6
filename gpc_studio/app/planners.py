"""Planners as the program makes them: with the trained policies that a controller needs.

Rooms below know controllers and policies apart; what is called by name here may be either.
Listing names loads no network library; a policy does, when it is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpc_studio.app.errors import UsageError
from gpc_studio.models.controllers.options import PACKAGE
from gpc_studio.options import describe

if TYPE_CHECKING:
    from gpc_studio.controllers.options import PlanningOptions
    from gpc_studio.controllers.planner import Planner
    from gpc_studio.controllers.proposals.base import Proposal
    from gpc_studio.controllers.registry import ControllerSpec
    from gpc_studio.scenes.task import Task

CHECKPOINT = "checkpoint"
"""Name of the option that says which policy a controller uses."""


class PolicyError(UsageError):
    """A controller needs a policy that cannot be had; the message says why and how to go on."""


def controllers() -> Mapping[str, ControllerSpec]:
    """All controllers by name, simplest first."""
    from gpc_studio.controllers import registry

    return registry.controllers(PACKAGE)


def controller_names() -> tuple[str, ...]:
    """Names of all controllers, simplest first."""
    return tuple(controllers())


def default_options(task: Task, controller: str) -> PlanningOptions:
    """Options of a controller on a task, with the task's default policy and its plans, if any.

    Raises:
        KeyError: There is no such controller.
        OptionError: A default of the task is wrong.
    """
    from gpc_studio.controllers import registry
    from gpc_studio.options import updated

    options = registry.default_options(task, controller, PACKAGE)
    if not uses_policy(options) or getattr(options, CHECKPOINT):
        return options
    name = default_checkpoint(task)
    return updated(options, {**_planning(task, name), CHECKPOINT: name})


def with_policys_plans(
    task: Task, options: PlanningOptions, changes: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Changes to options, to which another policy adds those of its plans.

    A policy is right for plans as it was trained on. So where those of the new one differ from
    those of the old one, in horizon, knots, spline or rate, the options follow, unless they are
    among the changes. Any others can still be asked for: its plans are then read at other times.
    """
    name, old = changes.get(CHECKPOINT), getattr(options, CHECKPOINT, None)
    if old is None or not isinstance(name, str) or name == old:
        return changes
    before = _planning(task, old)
    moved = {k: v for k, v in _planning(task, name).items() if before.get(k) != v}
    return {**moved, **changes}


def _planning(task: Task, name: str) -> dict[str, Any]:
    """How the plans of a policy were made; nothing for one that cannot be had."""
    from gpc_studio.models import library
    from gpc_studio.models.checkpoint import planning_of

    try:
        return planning_of(library.find_or_path(name, task)) if name else {}
    except library.CheckpointError:  # told when it is loaded
        return {}


def uses_policy(options: object) -> bool:
    """Whether a controller with these options draws samples from a policy."""
    return CHECKPOINT in describe(type(options))


def default_checkpoint(task: Task) -> str:
    """Name of the policy that is taken when nobody says which, or "".

    The one that is called as the task, or as one whose policies it takes; else the newest.
    """
    from gpc_studio.models import library

    names = library.available(task)
    for name in (task.name, *task.policies_of):
        if name in names:
            return name
    return max(names, key=lambda name: library.find(name, task).stat().st_mtime, default="")


def choices(task: Task, options: object) -> dict[str, tuple[str, ...]]:
    """What options of which this is known only now may be: names of policies for the task."""
    if not uses_policy(options):
        return {}
    from gpc_studio.models import library

    return {CHECKPOINT: library.available(task)}


def make_planner(
    task: Task,
    controller: str,
    options: PlanningOptions,
    *,
    episodes: int = 1,
    threads: int = 0,
    seed: int = 0,
) -> Planner:
    """A planner with the proposals that its controller needs.

    Raises:
        PolicyError: There is no such policy, or its file cannot be used for the task.
        ValueError: See `Planner`.
    """
    from gpc_studio.controllers.planner import Planner

    spec = controllers()[controller]
    proposals = policy_proposals(task, options)
    return Planner(
        task, spec, options, episodes=episodes, threads=threads, seed=seed, proposals=proposals
    )


def sibling(planner: Any, options: PlanningOptions) -> Planner | None:
    """The planner with another policy that needs no compilation, or None if it would.

    Args:
        planner: A planner for the same task and controller; any other object has no sibling.
        options: Options that it does not accept.

    Raises:
        PolicyError: There is no such policy, or its file cannot be used for the task.
    """
    from gpc_studio.controllers.planner import Planner

    if not isinstance(planner, Planner) or not uses_policy(options):
        return None
    if not planner.shares_code(options):
        return None
    return planner.sibling(options, policy_proposals(planner.task, options))


def policy_proposals(task: Task, options: PlanningOptions) -> tuple[Proposal, ...]:
    """The policy that the options name, as a proposal; none for a controller without.

    Raises:
        PolicyError: There is no such policy, or its file cannot be used for the task.
    """
    if not uses_policy(options):
        return ()
    from gpc_studio.models.checkpoint import CheckpointError, load
    from gpc_studio.models.proposal import FlowProposal

    path = checkpoint_path(task, options)
    try:
        checkpoint = load(path, task)
    except CheckpointError as error:
        raise PolicyError(str(error)) from None
    plan = checkpoint.plan
    return (
        FlowProposal(task, checkpoint.policy, options, horizon=plan.horizon, spline=plan.spline),
    )


def checkpoint_path(task: Task, options: PlanningOptions) -> Path:
    """File of the policy that options name, by its name or its path.

    Raises:
        PolicyError: There is none.
    """
    from gpc_studio.models import library

    name = getattr(options, CHECKPOINT) or default_checkpoint(task)
    if not name:
        raise PolicyError(
            f"no policy for task {task.name} yet: `gpc-studio train {task.name}` makes one"
        )
    try:
        return library.find_or_path(name, task)
    except library.CheckpointError as error:
        raise PolicyError(str(error)) from None
