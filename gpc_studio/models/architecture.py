"""What a policy's network looks like: a few numbers, from which it can be built again."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from gpc_studio.options import describe, option

NETWORKS = ("mlp", "cnn")


@dataclass(frozen=True)
class NetworkOptions:
    """What a person may choose about a network; the rest follows from task and plan."""

    network: str = option(
        "mlp", choices=NETWORKS, static=True, group="Network",
        help="Layers that see all knots at once, or convolutions along the knots.",
    )  # fmt: skip
    width: int = option(
        128, min=4, max=1024, step=4, static=True, group="Network",
        help="Neurons of a hidden layer, or channels of a convolution.",
    )  # fmt: skip
    layers: int = option(
        2, min=1, max=8, step=1, static=True, group="Network",
        help="Hidden layers, or residual blocks of two convolutions.",
    )  # fmt: skip
    time_features: int = option(
        9, min=1, max=65, step=1, static=True, group="Network",
        help="Features of the flow time: the time itself, then sines and cosines.",
    )  # fmt: skip
    history: bool = option(
        False, static=True, group="Network",
        help="Whether the policy also sees how the observation changed since the last plan.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Checks every field.

        Raises:
            OptionError: A value is of the wrong type or out of range.
        """
        for name, described in describe(type(self)).items():
            object.__setattr__(self, name, described.check(getattr(self, name)))


def _size(most: int, help: str) -> Any:
    """An option without a default: a size that has to be said."""
    facts = option(1, min=1, max=most, step=1, static=True, group="Sizes", help=help).metadata
    return dataclasses.field(metadata=facts, kw_only=True)


@dataclass(frozen=True)
class Architecture(NetworkOptions):
    """A network and its sizes: all that is needed to build it. Hashable, and plain as JSON."""

    knots: int = _size(32, "Knots of a plan, K.")
    controls: int = _size(128, "Controls of the task, nu.")
    observation: int = _size(1024, "Entries of the observation, nobs.")

    @property
    def condition(self) -> int:
        """Entries of what the network is conditioned on: the observation, and its change."""
        return self.observation * (2 if self.history else 1)

    @classmethod
    def of(
        cls, options: NetworkOptions, *, knots: int, controls: int, observation: int
    ) -> Architecture:
        """The network that a person chose, for the sizes of a task and its plans."""
        chosen = {name: getattr(options, name) for name in describe(NetworkOptions)}
        return cls(**chosen, knots=knots, controls=controls, observation=observation)

    def as_json(self) -> dict[str, Any]:
        """All fields by name."""
        return dataclasses.asdict(self)
