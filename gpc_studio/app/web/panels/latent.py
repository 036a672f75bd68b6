"""The latent view: samples of all sources, the policy's noise, and the way between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gpc_studio.app.session.inspector import FlowView
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web import html
from gpc_studio.app.web.controls import add_control
from gpc_studio.app.web.latent.axes import StableAxes, StableRange
from gpc_studio.app.web.latent.drawing import Cloud, key, picture
from gpc_studio.app.web.overlays.colours import DIVERGED, cost_colours, percentiles, source_colour
from gpc_studio.app.web.overlays.lines import thinned
from gpc_studio.app.web.overlays.options import COLOUR_BY, FLOW_TIME
from gpc_studio.app.web.panels.view import ViewPanel
from gpc_studio.controllers.plan import Source, elites
from gpc_studio.options import Option

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session.lens import FlowPart, Lens
    from gpc_studio.app.session.pilot import Outcome

REDRAW_SECONDS = 0.2
MOST = 128
"""Points of one source that are drawn."""

_COLOUR = Option(
    "colour", str, "source", choices=COLOUR_BY, label="Points by",
    help="Colour of the points: the proposal that a sample came from, or its cost.",
)  # fmt: skip
_NOISE = Option(
    "noise", bool, True, label="Noise",
    help="Draw the noise that the policy starts from, and an arrow from it to each sample. "
    "Without it, the view is as narrow as the samples.",
)  # fmt: skip
_COST_COLOURS = 9


class LatentPanel:
    """All candidates of the newest plan, as points in the plane where they are spread most.

    A candidate is a point of K * nu coordinates, its knots in the policy's units. They are
    projected on the plane of `StableAxes`, and the policy's noise with them. At a flow time below
    1 the policy's samples are where they were on their way at that time.
    """

    def __init__(
        self, gui: viser.GuiApi, view: ViewPanel, flow_view: Callable[[], FlowView | None]
    ) -> None:
        """Adds picture and controls to the open container.

        Args:
            gui: Where to add them.
            view: Holds the flow time, which the 3-D view shows, too.
            flow_view: What there is of the samples on their way.
        """
        self._view, self._flow_view = view, flow_view
        self._picture = gui.add_html("")
        self._time = add_control(
            gui, FLOW_TIME, view.overlay.flow_time, lambda value: view.set("flow_time", value)
        )
        self._choices: dict[str, Any] = {"colour": "source", "noise": True}
        for option in (_COLOUR, _NOISE):
            add_control(gui, option, option.default, self._chooser(option))
        self._axes, self._range = StableAxes(), StableRange()
        self._lens: Lens | None = None
        self._kind: Any = None
        self._drawn: tuple[Any, ...] = ()
        self._drawn_at = 0.0
        self._epoch = -1

    def update(self, snapshot: Snapshot) -> None:
        """Draws the newest plan, some five times a second."""
        flow_time = self._view.overlay.flow_time
        self._time.show(flow_time)
        now = time.monotonic()
        if now - self._drawn_at < REDRAW_SECONDS:
            return
        on_the_way = self._flow_view() if flow_time < 1.0 else None
        origin = snapshot.origin if on_the_way is None else on_the_way.origin
        drawn = (id(origin), flow_time, on_the_way is None, *self._choices.values())
        if drawn == self._drawn and origin is not None:
            return
        self._drawn, self._drawn_at = drawn, now
        content = self._content(snapshot, origin, on_the_way)
        if content != self._picture.content:
            self._picture.content = content

    def _chooser(self, option: Option) -> Callable[[Any], None]:
        def choose(value: Any) -> None:
            self._choices[option.name] = option.check(value)

        return choose

    def _content(
        self, snapshot: Snapshot, origin: Outcome | None, on_the_way: FlowView | None
    ) -> str:
        if origin is None or origin.plan is None or origin.plan.latents is None:
            return f'<div class="gpc-empty">{html.text(_why_empty(snapshot))}</div>'
        from gpc_studio.app.session.lens import flow_part

        part = flow_part(origin)
        if part is None:
            return f'<div class="gpc-empty">{html.text(_why_empty(snapshot))}</div>'
        if snapshot.epoch != self._epoch:
            self._epoch = snapshot.epoch
            self._axes, self._range = StableAxes(), StableRange()
        cloud = self._cloud(origin, part, on_the_way)
        sources = [s for s in Source if np.any(origin.plan.source == s)]
        by_cost = self._choices["colour"] == "cost" and origin.plan.rolled_out
        noise = self._choices["noise"]
        return picture(cloud, self._range.half, self._axes.explained) + key(sources, by_cost, noise)

    def _cloud(self, origin: Outcome, part: FlowPart, on_the_way: FlowView | None) -> Cloud:
        """What is to be seen of a plan; axes and range follow it."""
        from gpc_studio.app.session.lens import at_time

        plan = origin.plan
        assert plan is not None and plan.latents is not None
        lens = self._lens_for(origin, part)
        units = lens.units(origin)
        self._axes.update(units)
        units = units.copy()
        own = np.arange(part.rows.start, part.rows.stop)[part.kept][:MOST]
        cost = np.array(plan.cost, float)
        if on_the_way is None:
            noise = np.asarray(plan.latents, np.float32)[own]
            ways = np.stack([lens.beside_units(part, noise), units[own]])
        else:
            ways = on_the_way.way
            own = own[: ways.shape[1]]
            units[own] = at_time(ways, on_the_way.time)
            cost[own] = on_the_way.plan.cost
        shown = _shown(np.asarray(plan.source), own, int(plan.best))
        flat_ways = self._axes.project(ways if self._choices["noise"] else ways[:0])
        points = self._axes.project(units[shown])
        self._range.update(np.concatenate([points, flat_ways.reshape(-1, 2)]))
        best = np.flatnonzero((shown == int(plan.best)) & plan.rolled_out)
        return Cloud(
            points=points,
            colours=self._colours(np.asarray(plan.source), cost, plan.rolled_out)[shown],
            elite=elites(np.asarray(plan.weight))[shown],
            best=int(best[0]) if len(best) else None,
            ways=flat_ways,
        )

    def _colours(self, source: np.ndarray, cost: np.ndarray, rolled_out: bool) -> np.ndarray:
        """The colour of every candidate, sRGB (N, 3); few of them keep the picture small."""
        if self._choices["colour"] == "source" or not rolled_out:
            return np.array([source_colour(s) for s in source], float)
        share = percentiles(cost)
        steps = np.round(np.nan_to_num(share) * (_COST_COLOURS - 1)) / (_COST_COLOURS - 1)
        colours = cost_colours(steps)
        colours[np.isnan(share)] = DIVERGED
        return colours

    def _lens_for(self, origin: Outcome, part: FlowPart) -> Lens:
        from gpc_studio.app.session.lens import Lens

        kind = Lens.kind(origin, part)
        if self._lens is None or kind != self._kind:
            self._lens, self._kind = Lens(origin, part), kind
        return self._lens


def _shown(source: np.ndarray, own: np.ndarray, best: int) -> np.ndarray:
    """Which candidates are drawn: the policy's, as many others, and the best, in this order.

    The policy's come last, so that they lie over the others.
    """
    others = np.setdiff1d(np.flatnonzero(source != Source.FLOW), [best])
    others = others[thinned(len(others), MOST)] if len(others) else others
    return np.concatenate([others, np.setdiff1d(own, [best]), [best]]).astype(int)


def _why_empty(snapshot: Snapshot) -> str:
    if hasattr(snapshot.options, "checkpoint"):
        return "The first plan of this controller is not there yet."
    return (
        f"{snapshot.wanted_controller} draws from no policy, so that there is no noise to follow. "
        "Choose a controller that does, such as gpc_cem; the tab Train makes a policy for "
        f"{snapshot.task.name}."
    )
