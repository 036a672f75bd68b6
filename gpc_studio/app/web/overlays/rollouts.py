"""Sampled rollouts and the best plan as lines in the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.overlays.colours import BEST, rollout_colours
from gpc_studio.app.web.overlays.lines import Polylines, thinned
from gpc_studio.app.web.overlays.options import OverlayOptions
from gpc_studio.controllers.plan import Plan

if TYPE_CHECKING:
    import viser

_POINTS = 50  # Points of a drawn trace; more cannot be told apart on a screen.
_ELITE_SHARE = 0.1


class RolloutLines:
    """The traces of a plan's samples, redrawn in place for every plan."""

    def __init__(self, server: viser.ViserServer, prefix: str = "/plan") -> None:
        """Args: server and node-name prefix."""
        self._server = server
        self.samples = Polylines(server, f"{prefix}/rollouts", thickness=1.4)
        self.best = Polylines(server, f"{prefix}/best", thickness=4.0)

    def update(
        self, plan: Plan | None, options: OverlayOptions, on_the_way: Plan | None = None
    ) -> None:
        """Draws a plan, or nothing without one.

        Args:
            plan: The plan.
            options: What to draw.
            on_the_way: The policy's samples at an earlier flow time, in place of the plan's
                samples; the best plan stays the plan's.
        """
        with self._server.atomic():
            self._draw_samples(plan if on_the_way is None else on_the_way, options)
            if plan is None or not options.best_plan or not np.isfinite(plan.cost[int(plan.best)]):
                self.best.clear()
            else:
                best = int(plan.best)
                self.best.update(_polylines(_thin(plan)[best : best + 1]), BEST)

    def _draw_samples(self, plan: Plan | None, options: OverlayOptions) -> None:
        if plan is None or not plan.rolled_out:  # A policy may act without rollouts.
            self.samples.clear()
            return
        shown = selected(np.asarray(plan.cost), options.rollouts, options.which)
        if not len(shown):
            self.samples.clear()
            return
        points, colours = _thin(plan)[shown], rollout_colours(plan, options.colour_by)[shown]
        self.samples.update(_polylines(points), np.repeat(colours, points.shape[2], 0))

    def remove(self) -> None:
        """Removes the nodes."""
        self.samples.remove()
        self.best.remove()


def selected(cost: np.ndarray, count: int, which: str) -> np.ndarray:
    """Which samples are drawn, cheapest first.

    Args:
        cost: Cost of every sample (N,); a cost that is not finite counts as the dearest.
        count: How many at most.
        which: "best", "elites" (the cheapest tenth, at least one), "all" (evenly over the ranks,
            cheapest and dearest included) or "worst".

    Returns:
        Sample indices (M,), M <= count.
    """
    order = np.argsort(np.where(np.isfinite(cost), cost, np.inf), kind="stable")
    count = min(count, len(order))
    if count <= 0:
        return order[:0]
    if which == "elites":
        return order[: min(count, max(1, round(_ELITE_SHARE * len(order))))]
    if which == "worst":
        return order[-count:]
    if which == "all":
        return order[thinned(len(order), count)] if count > 1 else order[:1]
    return order[:count]


def _thin(plan: Plan) -> np.ndarray:
    """As many points of the traces as are drawn (N, P, S, 3)."""
    traces = np.asarray(plan.traces)
    return traces[:, thinned(traces.shape[1], _POINTS)]


def _polylines(traces: np.ndarray) -> np.ndarray:
    """Traces (R, P, S, 3) as polylines (R * S, P, 3)."""
    return traces.transpose(0, 2, 1, 3).reshape(-1, traces.shape[1], 3)
