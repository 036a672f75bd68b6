"""GPC-PS: predictive sampling seeded by the policy."""

from __future__ import annotations

from dataclasses import dataclass

from gpc_studio.controllers.options import options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.predictive_sampling import (
    PredictiveSampling,
    PredictiveSamplingOptions,
)
from gpc_studio.models.controllers.options import PolicyShareOptions


@options_pytree
@dataclass(frozen=True)
class GPCPredictiveSamplingOptions(PredictiveSamplingOptions, PolicyShareOptions):
    """Options of predictive sampling with a policy."""


CONTROLLER = ControllerSpec(
    name="gpc_ps",
    title="GPC-PS",
    summary="Predictive sampling with samples of a trained policy among its own.",
    options_type=GPCPredictiveSamplingOptions,
    rule=PredictiveSampling(),
    proposals=("flow",),
    like="predictive_sampling",
)
