"""Choice of the controller, and its options."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gpc_studio.app.planners import controller_names
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web.controls import OptionControls, add_control
from gpc_studio.options import Option, describe

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session


class ControllerPanel:
    """The dropdown of the named controllers."""

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        """Adds the dropdown to the open container."""
        name = session.snapshot.wanted_controller
        option = Option(
            "controller", str, name, choices=controller_names(), label="Controller",
            help="How plans are made.",
        )  # fmt: skip
        self._choice = add_control(gui, option, name, session.set_controller)

    def update(self, snapshot: Snapshot) -> None:
        """Shows the controller asked for."""
        self._choice.show(snapshot.wanted_controller)


class OptionsPanel:
    """All options of the controller, generated from its options dataclass."""

    def __init__(self, gui: viser.GuiApi, session: Session) -> None:
        """Adds the controls to the open container."""
        self._gui = gui
        self._session = session
        self._folder = gui.add_folder(None)
        self._shown: tuple[Any, ...] = ()
        self.update(session.snapshot)

    def update(self, snapshot: Snapshot) -> None:
        """Shows the options; another kind of options gets new controls."""
        kind = type(snapshot.options)
        values = dataclasses.asdict(snapshot.options)
        if self._shown != (kind, snapshot.task.name):
            self._shown = (kind, snapshot.task.name)
            for child in tuple(self._folder._children.values()):
                child.remove()
            with self._folder:
                self._controls = OptionControls(
                    self._gui, describe(kind).values(), values, self._session.set_option
                )
        self._controls.show(values)
        self._controls.offer(snapshot.choices)
