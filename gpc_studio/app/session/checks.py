"""Checks of values from outside: the right kind, finite, in range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.arguments import weight_options
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.options import OptionError, describe, did_you_mean

if TYPE_CHECKING:
    from gpc_studio.scenes.task import Task

ROLLOUT_BYTES = 1 << 30  # largest record of one planning step


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """`value`, one of `choices`.

    Raises:
        OptionError: It is not.
    """
    if isinstance(value, str) and value in choices:
        return value
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    raise OptionError(name, "one of " + ", ".join(choices) + hint, value)


def check_names(changes: object, what: str) -> dict[str, object]:
    """`changes` as a dictionary whose keys are names.

    Raises:
        OptionError: It is something else.
    """
    if not isinstance(changes, Mapping):
        raise OptionError(what, "values by name", changes)
    for name in changes:
        if not isinstance(name, str):
            raise OptionError(what, "values by name", name)
    return dict(changes)


def check_controller(name: object) -> None:
    """Raises an `OptionError` unless there is a controller of that name."""
    from gpc_studio.app.planners import controller_names

    check_choice("controller", name, controller_names())


def check_dynamic(task: Task, options: PlanningOptions, changes: Mapping[str, object]) -> None:
    """Refuses names that are not there, in options whose choices are known only now.

    The present value is always accepted: it may be a file that the command line was given.

    Raises:
        OptionError: A name is none of the choices.
    """
    from gpc_studio.app.planners import choices

    dynamic = {name for name, option in describe(type(options)).items() if option.dynamic}
    if not dynamic & set(changes):
        return
    for name, known in choices(task, options).items():
        value = changes.get(name, getattr(options, name))
        if value == getattr(options, name):
            continue
        if not known:
            raise OptionError(
                name, f"nothing, since {task.title} has none: `gpc-studio train` makes one", value
            )
        check_choice(name, value, known)


def check_vector(name: str, value: object, size: int, unit: str = "") -> np.ndarray:
    """`value` as an array of `size` finite numbers.

    Raises:
        OptionError: It is something else.
    """
    expected = f"{size} finite numbers" + (f" in {unit}" if unit else "")
    try:
        # Text and truth values convert to numbers, but nobody means that.
        kinds = np.asarray(value).dtype.kind
        array = np.array(value, dtype=float)
    except Exception:
        raise OptionError(name, expected, value) from None
    if kinds not in "iuf" or array.shape != (size,) or not np.isfinite(array).all():
        raise OptionError(name, expected, value)
    return array


def check_weights(task: Task, changes: Mapping[str, object]) -> dict[str, float]:
    """Weights of cost terms, within the ranges that the task declares.

    Raises:
        OptionError: A term is unknown, or a weight is not acceptable.
    """
    known = weight_options(task.weights)
    for name, value in changes.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise OptionError(str(name), f"a cost term of {task.title}{hint}", value)
    return {name: known[name].check(value) for name, value in changes.items()}


def check_size(task: Task, options: PlanningOptions) -> None:
    """Refuses options whose rollouts need more memory than `ROLLOUT_BYTES`.

    Raises:
        OptionError: They do.
    """
    model = task.model
    steps = round(options.horizon / task.dt) + 1
    numbers = model.nq + model.nv + model.na + model.nsensordata + model.nu
    one = steps * numbers * 8
    most = ROLLOUT_BYTES // one
    wanted = options.samples * options.domains
    if wanted > most:
        raise OptionError(
            "samples",
            f"samples times domains of at most {most} at a horizon of {options.horizon:g} s",
            wanted,
        )
