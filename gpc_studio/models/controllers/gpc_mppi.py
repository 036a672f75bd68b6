"""GPC-MPPI: MPPI seeded by the policy."""

from __future__ import annotations

from dataclasses import dataclass

from gpc_studio.controllers.options import options_pytree
from gpc_studio.controllers.registry import ControllerSpec
from gpc_studio.controllers.rules.mppi import MPPI, MPPIOptions
from gpc_studio.models.controllers.options import PolicyShareOptions


@options_pytree
@dataclass(frozen=True)
class GPCMPPIOptions(MPPIOptions, PolicyShareOptions):
    """Options of MPPI with a policy."""


CONTROLLER = ControllerSpec(
    name="gpc_mppi",
    title="GPC-MPPI",
    summary="MPPI with samples of a trained policy among its own.",
    options_type=GPCMPPIOptions,
    rule=MPPI(),
    proposals=("flow",),
    like="mppi",
)
