"""Which proposals a controller draws its samples from."""

from __future__ import annotations

from collections.abc import Sequence

from gpc_studio.controllers.options import PlanningOptions, sample_count
from gpc_studio.controllers.proposals.base import Proposal
from gpc_studio.controllers.proposals.gaussian import Gaussian
from gpc_studio.controllers.proposals.previous import Previous
from gpc_studio.controllers.registry import ControllerSpec


def all_proposals(
    spec: ControllerSpec, options: PlanningOptions, given: Sequence[Proposal]
) -> tuple[Proposal, ...]:
    """The previous plan, the given proposals, and the Gaussian for what is left over.

    Raises:
        ValueError: A proposal that the controller needs was not given, latents differ in size, or
            the proposals do not add up to `options.samples`.
    """
    names = [proposal.name for proposal in given]
    missing = [name for name in spec.proposals if name not in names]
    if missing:
        raise ValueError(f"controller {spec.name} needs a proposal {', '.join(missing)}")
    chosen = (Previous(), *given) if spec.previous else tuple(given)
    left = sample_count(options) - sum(proposal.count(options) for proposal in chosen)
    sizes = {proposal.latent_size for proposal in chosen if proposal.latent_size}
    if len(sizes) > 1:
        raise ValueError(f"proposals have latents of different sizes: {sorted(sizes)}")
    if left < 0 or (left > 0 and not spec.gaussian):
        raise ValueError(
            f"controller {spec.name}: samples is {sample_count(options)}, but its proposals and "
            f"the previous plan draw {sample_count(options) - left}"
        )
    return (*chosen, Gaussian(left)) if left else chosen
