"""Panels of the page: each adds its controls once and is told of every new snapshot."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gpc_studio.app.session.snapshot import Snapshot


class Panel(Protocol):
    """What the front end calls, some ten times a second, on its own thread."""

    def update(self, snapshot: Snapshot) -> None:
        """Shows what has changed; must do nothing when nothing has."""
        ...


@runtime_checkable
class Ending(Protocol):
    """What the front end calls besides at its end, on a panel that has started something."""

    def stop(self) -> None:
        """Ends it."""
        ...
