"""Options of collecting and training, declared once for the command line and the browser.

A task changes the defaults under `Task.training`, by method or `"collect"`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gpc_studio.models.architecture import NetworkOptions
from gpc_studio.options import OptionError, option, updated

if TYPE_CHECKING:
    from gpc_studio.scenes.task import Task

T = TypeVar("T")

ADVANCE = ("policy", "best", "both")


@dataclass(frozen=True)
class FitOptions(NetworkOptions):
    """The network and how it is fitted."""

    width: int = 64
    minibatch: int = option(
        256, min=8, max=65536, step=8, group="Fitting", help="Examples an optimiser step."
    )
    learning_rate: float = option(
        1e-3, min=1e-6, max=0.1, step=1e-4, group="Fitting",
        help="Highest learning rate of Adam; it falls to zero along a cosine.",
    )  # fmt: skip
    warmup: int = option(
        100, min=0, max=10_000, step=50, unit="steps", group="Fitting",
        help="Optimiser steps over which the learning rate rises at first.",
    )  # fmt: skip
    weight_decay: float = option(
        0.0, min=0.0, max=0.1, step=1e-4, group="Fitting", help="Decay of the weights (AdamW)."
    )
    ema: float = option(
        0.999, min=0.0, max=0.9999, step=0.001, group="Fitting",
        help="Decay of the running average of the weights, which the policy uses.",
    )  # fmt: skip
    cosine_weight: float = option(
        0.0, min=0.0, max=20.0, step=0.5, group="Fitting",
        help="Decay of an example's weight as its noise lies off the update (gamma of Kurtz & "
        "Burdick, eq. 33); 0 weighs all alike.",
    )  # fmt: skip
    mirror: bool = option(
        True, group="Fitting",
        help="Double the examples by the task's mirror symmetry, where it has one.",
    )  # fmt: skip


@dataclass(frozen=True)
class GpcOptions(FitOptions):
    """Options of `--method gpc`, Algorithm 1 of Kurtz & Burdick (arXiv 2502.13406)."""

    rule: str = option(
        "predictive_sampling", group="Collecting",
        help="Controller whose update gives the plans that are learned.",
    )  # fmt: skip
    iterations: int = option(
        10, min=1, max=1000, step=1, group="Training", help="Rounds of collecting and fitting."
    )
    episodes: int = option(
        128, min=1, max=4096, step=1, group="Collecting", help="Episodes a round, in lock-step."
    )
    plans: int = option(
        200, min=2, max=5000, step=10, group="Collecting", help="Planning steps of an episode."
    )
    gaussian_samples: int = option(
        8, min=1, max=4096, step=1, group="Collecting",
        help="Gaussian samples a plan, besides the previous plan.",
    )  # fmt: skip
    policy_samples: int = option(
        2, min=1, max=4096, step=1, group="Collecting", help="Samples of the policy a plan."
    )
    noise: float = option(
        0.1, min=0.01, max=2.0, step=0.01, unit="of range", group="Collecting",
        help="Standard deviation of the Gaussian samples.",
    )  # fmt: skip
    flow_steps: int = option(
        10, min=1, max=100, step=1, group="Collecting", help="Euler steps of the policy's flow."
    )
    warm_start: float = option(
        1.0, min=0.0, max=1.0, step=0.05, group="Collecting",
        help="How much of the last plan the policy's first sample starts from, as when it is used "
        "(Kurtz & Burdick, eq. 35); its other samples start from noise.",
    )  # fmt: skip
    advance: str = option(
        "policy", choices=ADVANCE, group="Collecting",
        help="Episodes go on under the policy's first sample (on-policy), the updated plan, or "
        "every other one under either.",
    )  # fmt: skip
    exploration: float = option(
        0.0, min=0.0, max=1.0, step=0.01, unit="of range", group="Collecting",
        help="Standard deviation of noise added to the control that episodes go on under.",
    )  # fmt: skip
    epochs: float = option(
        10.0, min=0.1, max=1000.0, step=1.0, group="Training",
        help="Passes over a round's examples when fitting.",
    )  # fmt: skip


@dataclass(frozen=True)
class OfflineOptions(FitOptions):
    """Options of `--method offline`, the recipe of GPC-CEM (arXiv 2510.14643)."""

    width: int = 128
    layers: int = 3
    history: bool = True
    minibatch: int = 512
    steps: int = option(
        10_000, min=10, max=10_000_000, step=1000, group="Training",
        help="Optimiser steps over the whole dataset.",
    )  # fmt: skip
    validation: float = option(
        0.05, min=0.0, max=0.5, step=0.05, group="Training",
        help="Share of the episodes that are kept apart to measure the loss on.",
    )  # fmt: skip


@dataclass(frozen=True)
class CollectOptions:
    """How `collect` plans: slower and better than a controller that must keep up."""

    controller: str = option(
        "cem", group="Collecting", help="Name of the controller; its best plans are kept."
    )
    episodes: int = option(
        256, min=1, max=1_000_000, step=1, group="Collecting",
        help="Episodes to run; only the successful ones give examples.",
    )  # fmt: skip
    samples: int = option(
        64, min=2, max=4096, step=1, group="Collecting", help="Samples of every planning round."
    )
    iterations: int = option(
        4, min=1, max=20, step=1, group="Collecting", help="Planning rounds at every planning step."
    )
    batch: int = option(
        16, min=1, max=1024, step=1, group="Collecting",
        help="Episodes planned for at once on each core. Another size may round differently.",
    )  # fmt: skip


def training_defaults(task: Task, key: str, options: T) -> T:
    """`options` with the task's own defaults.

    Args:
        task: The task.
        key: "gpc", "offline" or "collect".
        options: The defaults of every task.

    Raises:
        OptionError: A default is unknown or out of its range; the message names the task.
    """
    try:
        return updated(options, task.training.get(key, {}))
    except OptionError as error:
        error.args = (f"training defaults of task {task.name} for {key}: {error}",)
        raise
