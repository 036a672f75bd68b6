"""The distribution of plans over the horizon, for one actuator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web.charts.chart import Chart, Line, thinned
from gpc_studio.app.web.charts.colours import series_color
from gpc_studio.app.web.charts.spread import SpreadChart
from gpc_studio.app.web.controls import Control, add_control
from gpc_studio.controllers.plan import Plan
from gpc_studio.options import Option
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    import viser


class KnotsChart:
    """Mean of the knots with a band of one standard deviation, and the control that is executed.

    The band is drawn linearly from knot to knot; the executed line is the spline itself. Below it,
    for the same actuator, what each source proposes.
    """

    def __init__(self, gui: viser.GuiApi, task: Task) -> None:
        """Adds dropdown and charts to the open container."""
        self._task = task
        self._names = actuator_names(task)
        self._actuator = 0
        option = Option(
            "control", str, self._names[0], choices=self._names, label="Control",
            help="The actuator whose plan is charted.",
        )  # fmt: skip
        self._choice: Control = add_control(gui, option, self._names[0], self._choose)
        lines = (
            Line("− std", series_color(0), 0.75),
            Line("+ std", series_color(0), 0.75, fill_to=0),
            Line("mean of knots", series_color(0), 0),
            Line("executed", series_color(1), 2.25),
        )
        self.chart = Chart(
            gui, "Plan over the horizon", lines, y_label="Control", y_range=self._limits(),
        )  # fmt: skip
        self.spread = SpreadChart(gui, self._limits())

    def update(self, snapshot: Snapshot) -> None:
        """Shows the newest plan."""
        plan = snapshot.plan
        if plan is None or plan.mean.shape[-1] != len(self._names):
            return
        self.chart.set_y_range(self._limits())
        self.chart.show(*plan_lines(plan, self._actuator, self._task.dt))
        self.spread.update(plan, self._actuator, self._limits())

    def _choose(self, name: str) -> None:
        if name not in self._names:
            raise ValueError(f"Control: expected one of {', '.join(self._names)}, got {name!r}")
        self._actuator = self._names.index(name)

    def _limits(self) -> tuple[float, float]:
        low, high = self._task.control_range[:, self._actuator]
        margin = 0.06 * (high - low)
        return float(low - margin), float(high + margin)


def plan_lines(plan: Plan, actuator: int, dt: float) -> tuple[np.ndarray, ...]:
    """Time, mean - std, mean + std, knots (elsewhere not a number), executed; each (P,)."""
    knots_at = np.asarray(plan.knot_times, dtype=float)
    executed_at = float(plan.time) + dt * np.arange(len(plan.controls))
    shown = thinned(len(executed_at))
    time = np.union1d(executed_at[shown], knots_at[knots_at >= float(plan.time)])
    mean, std = plan.mean[:, actuator], plan.std[:, actuator]
    centre, spread = np.interp(time, knots_at, mean), np.interp(time, knots_at, std)
    at_knots = np.where(np.isin(time, knots_at), centre, np.nan)
    executed = np.interp(time, executed_at, plan.controls[:, actuator])
    return time, centre - spread, centre + spread, at_knots, executed


def actuator_names(task: Task) -> tuple[str, ...]:
    """A name for every actuator, made up where the model has none."""
    return tuple(task.model.actuator(i).name or f"actuator {i + 1}" for i in range(task.nu))
