"""The layout of the page: charts on the left, controls on the right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from gpc_studio.app.session.inspector import FlowView
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web import html
from gpc_studio.app.web.charts.costs import CostChart, TermsChart
from gpc_studio.app.web.charts.knots import KnotsChart
from gpc_studio.app.web.charts.sources import (
    ElitesChart,
    SampleSizeChart,
    SourceCostChart,
    SourcesLegend,
    WinnersChart,
)
from gpc_studio.app.web.charts.timing import RateChart, SplitChart
from gpc_studio.app.web.charts.window import window
from gpc_studio.app.web.panels import Ending, Panel
from gpc_studio.app.web.panels.controller import ControllerPanel, OptionsPanel
from gpc_studio.app.web.panels.latent import LatentPanel
from gpc_studio.app.web.panels.messages import MessagesPanel
from gpc_studio.app.web.panels.session import RunPanel, StatePanel, TransportPanel
from gpc_studio.app.web.panels.task import TaskPanel
from gpc_studio.app.web.panels.timing import TimingPanel
from gpc_studio.app.web.panels.train import TrainPanel
from gpc_studio.app.web.panels.view import ViewPanel
from gpc_studio.app.web.panels.weights import WeightsPanel
from gpc_studio.app.web.shortcuts import add_shortcuts, shortcuts
from gpc_studio.app.web.theme import apply_theme
from gpc_studio.scenes.task import Task

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session

CHARTS_WIDTH = 320
CONTROLS_WIDTH = 330

MakePanel: TypeAlias = "Callable[[viser.GuiApi, Session], Panel]"
"""Adds a panel's controls to the GUI container that is open."""

TABS: Mapping[str, MakePanel] = MappingProxyType(
    {"Controller": OptionsPanel, "Weights": WeightsPanel, "Train": TrainPanel}
)
"""The tabs on the right, by label: a panel of your own is one more entry."""


class Page:
    """Everything on the page except the 3-D view.

    Attributes:
        view: What the 3-D view shall show.
        timing: Timing panel; the front end tells it how long drawing takes.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        session: Session,
        *,
        dark: bool = True,
        tabs: Mapping[str, MakePanel] = TABS,
        flow_view: Callable[[], FlowView | None] = lambda: None,
    ) -> None:
        """Builds the page for all browsers, present and future.

        Args:
            server: What serves the page.
            session: What it shows.
            dark: Theme at the start.
            tabs: What is in the tabs on the right, by label; the tabs View and Run follow.
            flow_view: What there is of a policy's samples on their way to its plans.
        """
        gui = server.gui
        apply_theme(gui, dark)
        gui.set_panel_label("Session")
        gui.main_panel.dock_right()
        gui.main_panel.set_width(CONTROLS_WIDTH)
        gui.add_html(html.style_sheet())
        self._panels: list[Panel] = [
            StatePanel(gui),
            TaskPanel(gui, session),
            ControllerPanel(gui, session),
            TransportPanel(gui, session),
            MessagesPanel(server, session.snapshot),
        ]
        group = gui.add_tab_group()
        for label, make_panel in tabs.items():
            with group.add_tab(label):
                self._panels.append(make_panel(gui, session))
        with group.add_tab("View"):
            self.view = ViewPanel(gui, dark, lambda dark: apply_theme(gui, dark), flow_view)
        with group.add_tab("Run"):
            self._panels.append(RunPanel(gui, session))
            self.timing = TimingPanel(gui)
        self._panels += [self.view, self.timing]
        self._charts = Charts(gui, session, self.view, flow_view)
        add_shortcuts(gui, shortcuts(session, self.view))

    def stop(self) -> None:
        """Ends what panels have started."""
        for panel in self._panels:
            if isinstance(panel, Ending):
                panel.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Shows a snapshot in panels and charts."""
        for panel in self._panels:
            panel.update(snapshot)
        self._charts.update(snapshot)

    def note_draw(self, snapshot: Snapshot, seconds: float) -> None:
        """Remembers how long it took to draw a snapshot."""
        self.timing.draw_seconds = seconds
        self._charts.split.note_draw(float(snapshot.state.time), seconds)


class Charts:
    """The panel of charts.

    Attributes:
        split: Chart of planning and drawing time.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        session: Session,
        view: ViewPanel,
        flow_view: Callable[[], FlowView | None],
    ) -> None:
        """Adds the panel at the left edge."""
        self._gui = gui
        self._session = session
        self._task: Task | None = None
        panel = gui.add_panel()
        with panel.add_tab("Costs"):
            self._cost = CostChart(gui)
            self._terms_folder = gui.add_folder(None)
        with panel.add_tab("Plan"):
            self._knots_folder = gui.add_folder(None)
        with panel.add_tab("Samples"):
            self._sources = (
                SourcesLegend(gui),
                WinnersChart(gui),
                ElitesChart(gui),
                SourceCostChart(gui),
                SampleSizeChart(gui),
            )
        with panel.add_tab("Latent"):
            self._latent = LatentPanel(gui, view, flow_view)
        with panel.add_tab("Timing"):
            self.split = SplitChart(gui)
            self._rate = RateChart(gui)
        panel.dock_left()
        panel.set_width(CHARTS_WIDTH)
        self._follow(session.snapshot.task)

    def update(self, snapshot: Snapshot) -> None:
        """Shows the session's history and newest plan."""
        if snapshot.task is not self._task:
            self._follow(snapshot.task)
        recent = window(self._session.history.since()[1], len(snapshot.task.weights))
        self._cost.update(recent)
        self._terms.update(recent)
        self._knots.update(snapshot)
        for chart in self._sources:
            chart.update(recent)
        self._latent.update(snapshot)
        self.split.update(recent)
        self._rate.update(recent, snapshot.timing)

    def _follow(self, task: Task) -> None:
        """Builds the charts whose series depend on the task."""
        self._task = task
        for folder in (self._terms_folder, self._knots_folder):
            for child in tuple(folder._children.values()):
                child.remove()
        with self._terms_folder:
            self._terms = TermsChart(self._gui, tuple(task.weights))
        with self._knots_folder:
            self._knots = KnotsChart(self._gui, task)
