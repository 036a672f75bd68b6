"""What is drawn over the world, as options."""

from __future__ import annotations

from dataclasses import dataclass

from gpc_studio.options import describe, option

CHOICES = ("best", "elites", "all", "worst")
COLOUR_BY = ("cost", "source")


@dataclass(frozen=True)
class OverlayOptions:
    """What the 3-D view shows besides the world itself."""

    rollouts: int = option(
        32, min=0, max=128, step=1, group="Rollouts", label="Rollouts shown",
        help="How many sampled futures are drawn.",
    )  # fmt: skip
    which: str = option(
        "all", choices=CHOICES, group="Rollouts", label="Which rollouts",
        help="The cheapest, the cheapest tenth, an even selection, or the dearest.",
    )  # fmt: skip
    colour_by: str = option(
        "cost", choices=COLOUR_BY, group="Rollouts", label="Colour by",
        help="Colour by the percentile of the cost or by the proposal a sample came from.",
    )  # fmt: skip
    best_plan: bool = option(
        True, group="Rollouts", label="Best plan", help="Highlight the cheapest sample."
    )  # fmt: skip
    ghosts: bool = option(
        True, group="World", label="Ghosts", help="Show where the best plan leads, translucent."
    )  # fmt: skip
    ghost_count: int = option(
        4, min=1, max=8, step=1, group="World", label="Ghost count",
        help="Ghosts along the best plan.",
    )  # fmt: skip
    path: bool = option(
        True, group="World", label="Executed path", help="Draw the path already travelled."
    )  # fmt: skip
    goal_handle: bool = option(
        True, group="World", label="Goal handle", help="Show the handle that moves the goal."
    )  # fmt: skip
    push: bool = option(
        True, group="World", label="Push arrow", help="Draw the force of a push (ctrl-drag a body)."
    )  # fmt: skip
    flow_time: float = option(
        1.0, min=0.0, max=1.0, step=0.02, group="Policy", label="Flow time",
        help="Shows the policy's samples on their way from noise (0) to plans (1), in the latent "
        "view and as rollouts in the world. The plans that are executed stay those of 1.",
    )  # fmt: skip
    shadows: bool = option(
        True, group="World", label="Shadows", help="Cast shadows; off is faster without a GPU."
    )  # fmt: skip


FLOW_TIME = describe(OverlayOptions)["flow_time"]
"""It has its control beside the latent view."""
