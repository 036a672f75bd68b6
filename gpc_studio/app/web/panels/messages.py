"""What a person should know: notifications, and a line with the last of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpc_studio.app.session.snapshot import Message, Snapshot
from gpc_studio.app.web import html

if TYPE_CHECKING:
    import viser

_COLORS: dict[str, Any] = {"info": "blue", "warning": "orange", "error": "red"}
_SECONDS = {"info": 6.0, "warning": 12.0, "error": None}


class MessagesPanel:
    """Shows every message once to every page that is open, and keeps the last one readable."""

    def __init__(self, server: viser.ViserServer, snapshot: Snapshot) -> None:
        """Adds the line to the open container."""
        self._server = server
        self._line = server.gui.add_html("", visible=False)
        self._last = max((message.number for message in snapshot.messages), default=-1)
        if snapshot.messages:
            self._keep(snapshot.messages[-1])

    def update(self, snapshot: Snapshot) -> None:
        """Shows messages that are new since the last update."""
        for message in snapshot.messages:
            if message.number > self._last:
                self._last = message.number
                self._notify(message)
                self._keep(message)

    def _notify(self, message: Message) -> None:
        for client in self._server.get_clients().values():
            client.add_notification(
                message.title, message.text, color=_COLORS.get(message.level, "gray"),
                auto_close_seconds=_SECONDS.get(message.level, 6.0),
            )  # fmt: skip

    def _keep(self, message: Message) -> None:
        self._line.content = (
            f'<div class="gpc-note gpc-{html.text(message.level)}">'
            f"<b>{html.text(message.title)}</b> {html.text(message.text)}</div>"
        )
        self._line.visible = True
