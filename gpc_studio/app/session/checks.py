"""Checks of values from outside: the right kind, finite, in range."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.options import Option, OptionError

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
    near = difflib.get_close_matches(value, choices, n=1) if isinstance(value, str) else []
    hint = f" (did you mean {near[0]}?)" if near else ""
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
    from gpc_studio.controllers.registry import controller_names

    check_choice("controller", name, controller_names())


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
    checked = {}
    for name, value in changes.items():
        weight = task.weights.get(name)
        if weight is None:
            near = difflib.get_close_matches(str(name), task.weights, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise OptionError(str(name), f"a cost term of {task.title}{hint}", value)
        declared = Option(
            name=name, kind=float, default=weight.default, min=weight.min, max=weight.max
        )
        checked[name] = declared.check(value)
    return checked


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
