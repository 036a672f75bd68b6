"""The named controllers: presets of rule, options and proposals, found by import.

A module that defines a `ControllerSpec` at its top level, in `controllers/rules/` or in a package
that the caller names, adds a controller; there is no other list.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.options import OptionError, describe, did_you_mean, updated

if TYPE_CHECKING:
    from gpc_studio.controllers.rules.base import Rule
    from gpc_studio.scenes.task import Task

RULES = "gpc_studio.controllers.rules"


@dataclass(frozen=True)
class ControllerSpec:
    """A named controller.

    Attributes:
        name: Identifier.
        title: Name that people see.
        summary: One line.
        options_type: Options dataclass, a `PlanningOptions` with `options_pytree`.
        rule: How costs move the distribution.
        gaussian: Whether samples that no other proposal draws are Gaussian around the mean.
        previous: Whether the previous plan is a sample, the first.
        proposals: Names of further proposals that whoever makes the planner must hand in.
        like: Name of a controller whose defaults on a task this one takes before its own, or "".
    """

    name: str
    title: str
    summary: str
    options_type: type[PlanningOptions]
    rule: Rule
    gaussian: bool = True
    previous: bool = True
    proposals: tuple[str, ...] = ()
    like: str = ""


@cache
def controllers(*packages: str) -> Mapping[str, ControllerSpec]:
    """Controllers by name: those of `controllers/rules/`, then those of further `packages`.

    Raises:
        ValueError: Two controllers have the same name.
    """
    found: dict[str, ControllerSpec] = {}
    for package in (RULES, *packages):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            contents = vars(importlib.import_module(f"{package}.{module.name}"))
            for spec in contents.values():
                if not isinstance(spec, ControllerSpec):
                    continue
                if found.setdefault(spec.name, spec) is not spec:
                    raise ValueError(f"two controllers are named {spec.name!r}: rename one")
    order = {name: place for place, name in enumerate(_FAMILIAR)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def controller_names(*packages: str) -> tuple[str, ...]:
    """Names of all controllers, simplest first."""
    return tuple(controllers(*packages))


def controller(name: str, *packages: str) -> ControllerSpec:
    """The controller called `name`.

    Raises:
        KeyError: There is none; the message lists those that there are.
    """
    known = controllers(*packages)
    if name not in known:
        hint = did_you_mean(name, known)
        raise KeyError(f"no controller {name!r}{hint}; there are {', '.join(known)}")
    return known[name]


def default_options(task: Task, name: str, *packages: str) -> PlanningOptions:
    """Options of a controller on a task.

    The controller's own defaults, changed by `task.defaults["*"]`, then by those of the controller
    that it is `like`, then by `task.defaults[name]`. An option under "*" that this controller does
    not have is skipped, since it is meant for those that do; one that no controller has is an
    error.

    Raises:
        OptionError: A default is unknown or out of its range; the message names the task.
    """
    spec = controller(name, *packages)
    own = describe(spec.options_type)
    anywhere = {key for c in controllers(*packages).values() for key in describe(c.options_type)}
    shared, like = task.defaults.get("*", {}), task.defaults.get(spec.like, {})
    for key, value in shared.items():
        if key not in anywhere:
            raise OptionError(
                f'defaults["*"] of task {task.name}: {key}', "an option of some controller", value
            )
    try:
        options = updated(spec.options_type(), {k: v for k, v in shared.items() if k in own})
        options = updated(options, {k: v for k, v in like.items() if k in own})
        return updated(options, task.defaults.get(name, {}))
    except OptionError as error:
        error.args = (f"defaults of task {task.name} for {name}: {error}",)
        raise


# Order in which front ends list them; others follow in the order of their files.
_FAMILIAR = ("predictive_sampling", "mppi", "cem", "tsallis_mppi", "dial_mpc")
