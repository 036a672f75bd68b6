"""What is drawn over the world, the legend of its colours, and the theme."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gpc_studio.app.session.inspector import FlowView
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web.controls import OptionControls, add_control
from gpc_studio.app.web.overlays.colours import legend, legend_html
from gpc_studio.app.web.overlays.options import FLOW_TIME, OverlayOptions
from gpc_studio.options import Option, describe, updated

if TYPE_CHECKING:
    from collections.abc import Callable

    import viser

DARK = Option(
    "dark", bool, True, label="Dark theme", help="Light text on a dark ground, in all browsers."
)


class ViewPanel:
    """Overlay options, shared by all browsers.

    Attributes:
        overlay: What to draw.
        dark: Whether the theme is dark.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        dark: bool,
        on_theme: Callable[[bool], None],
        flow_view: Callable[[], FlowView | None] = lambda: None,
    ) -> None:
        """Adds legend and controls to the open container.

        Args:
            gui: Where to add them.
            dark: Theme at the start.
            on_theme: Called when the theme changes, with whether it is dark; must not block.
            flow_view: What there is of the policy's samples on their way, if they are drawn.
        """
        self.overlay = OverlayOptions()
        self.dark = dark
        self._on_theme = on_theme
        self._flow_view = flow_view
        self._legend = gui.add_html("")
        options = (o for o in describe(OverlayOptions).values() if o.name != FLOW_TIME.name)
        self._controls = OptionControls(gui, options, dataclasses.asdict(self.overlay), self.set)
        self._theme = add_control(gui, DARK, dark, self.set_dark)

    def set(self, name: str, value: Any) -> None:
        """Changes one overlay option.

        Raises:
            OptionError: There is no such option, or the value is not acceptable.
        """
        self.overlay = updated(self.overlay, {name: value})

    def toggle(self, name: str) -> None:
        """Turns a yes-or-no option over."""
        self.set(name, not getattr(self.overlay, name))

    def set_dark(self, dark: bool) -> None:
        """Changes the theme."""
        self.dark = DARK.check(dark)
        self._on_theme(self.dark)

    def update(self, snapshot: Snapshot) -> None:
        """Shows options that shortcuts changed, and the legend of the newest plan."""
        self._controls.show(dataclasses.asdict(self.overlay))
        self._theme.show(self.dark)
        on_the_way = self._flow_view()
        shown = legend(snapshot.plan, self.overlay, None if on_the_way is None else on_the_way.plan)
        content = f'<div class="gpc-legend">{legend_html(shown)}</div>'
        if content != self._legend.content:
            self._legend.content = content
