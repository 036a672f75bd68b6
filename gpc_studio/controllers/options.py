"""Options that every controller has, and how options become JAX pytrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import jax
import numpy as np

from gpc_studio.options import describe, option

T = TypeVar("T", bound=type)
Options = TypeVar("Options")

SPLINES = ("zero", "linear", "cubic")
RISKS = ("mean", "worst", "best", "cvar", "exponential", "value_at_risk")
ENGINES = ("auto", "native", "analytic")
EXECUTE = ("mean", "best")


def options_pytree(cls: T) -> T:
    """Registers a frozen options dataclass as a JAX pytree.

    Options that leave array shapes alone are leaves, so that jitted code takes them as traced
    arguments and moving their slider never recompiles. Static options are part of the tree's
    structure. Text cannot be traced: pass :func:`encoded` options to jitted code.
    """
    traced = traced_names(cls)
    meta = [field.name for field in fields(cls) if field.name not in traced]
    jax.tree_util.register_dataclass(cls, data_fields=list(traced), meta_fields=meta)
    return cls


def traced_names(options_type: type) -> tuple[str, ...]:
    """Names of the options that jitted code takes as traced arguments."""
    return tuple(name for name, option in describe(options_type).items() if not option.static)


def static_part(options: Any) -> tuple[Any, ...]:
    """What compiled code depends on: the type of the options and their static values."""
    described = describe(type(options))
    values = (getattr(options, name) for name, option in described.items() if option.static)
    return (type(options), *values)


def compiled_part(options: Any) -> tuple[Any, ...]:
    """What of `static_part` is in compiled code: all but names of what code is handed."""
    described = describe(type(options))
    values = (
        getattr(options, name)
        for name, option in described.items()
        if option.static and not option.dynamic
    )
    return (type(options), *values)


def encoded(options: Options) -> Options:
    """Options as jitted code takes them: numbers as arrays, a choice as its index.

    Names of things that code is handed in another way, as of a checkpoint, are left out: they must
    not have it compiled anew. Inside jitted code `options.execute` is therefore a traced integer;
    compare it with :func:`code`, or hand it to `jax.lax.switch` with one branch for every choice
    in order.
    """
    described = describe(type(options))
    leaves, names = {}, {name: "" for name, option in described.items() if option.dynamic}
    for name in traced_names(type(options)):
        value, option = getattr(options, name), described[name]
        if option.choices:
            leaves[name] = np.int32(option.choices.index(value))
        else:
            leaves[name] = np.float32(value) if option.kind is float else np.int32(value)
    return replace(options, **names, **jax.device_put(leaves))  # pyright: ignore[reportArgumentType]


def rolls_out(options: Any) -> bool:
    """Whether plans are made from rollouts; some controllers act without, unless asked for them."""
    return getattr(options, "show_rollouts", True)


def sample_count(options: Any) -> int:
    """Candidates of a planning step, N: the one that is executed when nothing is rolled out."""
    return options.samples if rolls_out(options) else 1


def code(choices: Sequence[str], choice: str) -> int:
    """The integer that stands for `choice` in encoded options."""
    return tuple(choices).index(choice)


@options_pytree
@dataclass(frozen=True)
class PlanningOptions:
    """How any controller plans; rules add their own options in subclasses."""

    samples: int = option(
        32, min=2, max=4096, step=1, static=True, group="Sampling",
        help="Candidate plans rolled out at every planning step.",
    )  # fmt: skip
    horizon: float = option(
        1.0, min=0.1, max=5.0, step=0.1, unit="s", static=True, group="Plan",
        help="How far ahead plans look.",
    )  # fmt: skip
    knots: int = option(
        4, min=2, max=32, step=1, static=True, group="Plan",
        help="Control points of the spline that describes a plan.",
    )  # fmt: skip
    spline: str = option(
        "cubic", choices=SPLINES, static=True, group="Plan",
        help="How controls are interpolated between knots.",
    )  # fmt: skip
    rate: float = option(
        20.0, min=1.0, max=200.0, step=1.0, unit="Hz", group="Plan", label="Planning rate",
        help="Planning steps asked for per second of simulation.",
    )  # fmt: skip
    domains: int = option(
        1, min=1, max=16, step=1, static=True, group="Domain randomisation",
        help="Perturbed models that every sample is rolled out on; the first is the nominal one.",
    )  # fmt: skip
    risk_metric: str = option(
        "mean", choices=RISKS, group="Domain randomisation",
        help="How a sample's costs over the domains become one cost.",
    )  # fmt: skip
    risk_level: float = option(
        0.25, min=0.01, max=1.0, step=0.01, group="Domain randomisation",
        help="Tail fraction of cvar and value_at_risk; risk aversion of exponential.",
    )  # fmt: skip
    engine: str = option(
        "auto", choices=ENGINES, static=True, group="Engine",
        help="What rolls out: MuJoCo on all cores, the task's own JAX dynamics, or the faster.",
    )  # fmt: skip
