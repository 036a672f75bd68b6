"""Push-K: push a K-shaped block into a goal pose."""

from __future__ import annotations

from typing import ClassVar

from gpc_studio.scenes.push_t.task import PushT


class PushK(PushT):
    """Push-T with a K: a block that no policy of push-T has seen.

    Brudermueller et al., "Generative Models From and For Sampling-Based MPC" (2025), arXiv
    2510.14643, take policies of push-T to this task without retraining. Observation, controls,
    costs and success are those of push-T.
    """

    name = "push_k"
    title = "Push-K"
    summary = "Push a K-shaped block onto its goal pose with a round pusher."
    mjcf = "push_k.xml"
    boxes: ClassVar[tuple[str, ...]] = ("stem", "right_arm", "left_arm")
    policies_of = ("push_t",)
