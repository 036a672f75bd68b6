"""Options of controllers that use a trained policy."""

from __future__ import annotations

from dataclasses import dataclass

from gpc_studio.options import option

PACKAGE = "gpc_studio.models.controllers"
"""Where the registry finds the controllers beside this file."""


@dataclass(frozen=True)
class PolicyOptions:
    """Which policy, and how it draws; mixed into the options of a rule."""

    checkpoint: str = option(
        "", dynamic=True, static=True, group="Policy",
        help="Trained policy of this task that draws samples; none: the task's default one.",
    )  # fmt: skip
    warm_start: float = option(
        0.0, min=0.0, max=1.0, step=0.05, group="Policy",
        help="How much of the last plan is in what the policy starts from; the rest is noise.",
    )  # fmt: skip
    flow_steps: int = option(
        10, min=1, max=100, step=1, static=True, group="Policy",
        help="Euler steps in which the policy turns noise into a plan.",
    )  # fmt: skip

    def policy_samples(self, samples: int) -> int:
        """How many of the samples the policy draws: all but the previous plan."""
        return samples - 1


@dataclass(frozen=True)
class PolicyShareOptions(PolicyOptions):
    """A policy that shares the samples with Gaussian noise."""

    policy_share: float = option(
        50.0, min=0.0, max=100.0, step=5.0, unit="%", static=True, group="Policy",
        help="Share of the samples that the policy draws; the others are Gaussian noise.",
    )  # fmt: skip

    def policy_samples(self, samples: int) -> int:
        """How many of the samples the policy draws; the previous plan counts to the others."""
        return min(round(0.01 * self.policy_share * samples), samples - 1)
