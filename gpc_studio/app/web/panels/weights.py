"""Weights of the cost terms, with what each term costs at present."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.arguments import weight_options
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web import html
from gpc_studio.app.web.charts.colours import series_color
from gpc_studio.app.web.controls import OptionControls
from gpc_studio.options import Option
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session


class WeightsPanel:
    """A slider for every weight, below a bar for what its term costs in the best sample."""

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        """Adds the controls to the open container."""
        self._gui = gui
        self._session = session
        self._folder = gui.add_folder(None)
        self._task: Task | None = None
        self.update(session.snapshot)

    def update(self, snapshot: Snapshot) -> None:
        """Shows weights and terms; another task gets new controls."""
        if snapshot.task is not self._task:
            self._build(snapshot)
        self._controls.show(snapshot.weights)
        content = _terms(snapshot)
        if content != self._bars.content:
            self._bars.content = content

    def _build(self, snapshot: Snapshot) -> None:
        self._task = snapshot.task
        for child in tuple(self._folder._children.values()):
            child.remove()
        with self._folder:
            self._gui.add_html('<div class="gpc-heading">Weighted cost of the best sample</div>')
            self._bars = self._gui.add_html(_terms(snapshot))
            self._controls = OptionControls(
                self._gui, _labelled(snapshot.task), snapshot.weights, self._session.set_weight
            )  # fmt: skip


def _labelled(task: Task) -> list[Option]:
    """The weights as options with names for people; the folder's heading is its own."""
    return [
        dataclasses.replace(option, label=html.readable(name))
        for name, option in weight_options(task.weights).items()
    ]


def _terms(snapshot: Snapshot) -> str:
    plan = snapshot.plan
    names = tuple(snapshot.task.weights)
    if plan is None or np.shape(plan.cost_terms)[-1] != len(names):
        costs = np.full(len(names), np.nan)
    else:
        costs = np.asarray(plan.cost_terms[int(plan.best)], dtype=float)
    # A term that is not finite has no share, and leaves the others theirs.
    sizes = np.where(np.isfinite(costs), np.abs(costs), 0.0)
    shares = sizes / max(float(sizes.sum()), np.finfo(float).tiny)
    rows = zip(names, costs, shares, strict=True)
    return html.bars([
        (html.readable(name), float(share), html.number(cost), series_color(i))
        for i, (name, cost, share) in enumerate(rows)
    ])  # fmt: skip
