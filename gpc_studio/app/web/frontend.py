"""The browser front end: one thread that shows the newest snapshot to every browser."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gpc_studio.app.session.inspector import Inspector
from gpc_studio.app.session.snapshot import Snapshot
from gpc_studio.app.web.page import TABS, MakePanel, Page
from gpc_studio.app.web.panels.view import ViewPanel
from gpc_studio.app.web.scene.view import SceneCallbacks, SceneView
from gpc_studio.app.web.server import WebServer

if TYPE_CHECKING:
    import viser

    from gpc_studio.app.session import Session

FRAME_SECONDS = 1.0 / 25.0
PANEL_SECONDS = 1.0 / 8.0
IDLE_SECONDS = 0.5
"""Time between frames while no browser is connected."""

_LOG = logging.getLogger(__name__)


class WebFrontend:
    """Shows a session in browsers, any number of them, and takes their commands.

    The session never depends on it: browsers come and go, and a frame that cannot be drawn is
    reported and the next one is drawn.
    """

    def __init__(
        self,
        session: Session,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        token: str | None = None,
        server: WebServer | None = None,
        dark: bool = True,
        tabs: Mapping[str, MakePanel] = TABS,
    ) -> None:
        """Opens the server and builds the page; `start` sets it in motion.

        Args:
            session: What to show.
            host: Address to listen on; beyond loopback a token is required in the URL.
            port: Port, or 0 for any free one.
            token: Secret for the URL, made where one is required and None is given.
            server: A server that listens already, instead of `host`, `port` and `token`.
            dark: Theme at the start.
            tabs: What is in the tabs on the right, by label; the tabs View and Run follow.

        Raises:
            ServerError: Address or port is not available.
        """
        self._session = session
        self._server = server or WebServer(host, port, token)
        self._viser = self._server.viser
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web-frontend", daemon=True)
        self._inspector = Inspector()
        self._page = Page(
            self._viser, session, dark=dark, tabs=tabs, flow_view=lambda: self._inspector.newest
        )
        self._view: SceneView | None = None
        self._views = 0
        self._drawn = -1
        self._failures: set[str] = set()
        self._viser.on_client_connect(self._welcome)

    @property
    def url(self) -> str:
        """Address for a browser, with the token where there is one."""
        return self._server.url

    @property
    def port(self) -> int:
        """Port that the server listens on."""
        return self._server.port

    @property
    def view(self) -> ViewPanel:
        """What the 3-D view shows besides the world."""
        return self._page.view

    @property
    def _prefix(self) -> str:
        """Start of the names of the view's nodes."""
        return f"/view{self._views}"

    def start(self) -> WebFrontend:
        """Starts showing the session."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Disconnects all browsers and ends the thread; the session goes on."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._inspector.stop()
        self._page.stop()
        self._server.stop()

    def __enter__(self) -> WebFrontend:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    async def _welcome(self, client: viser.ClientHandle) -> None:
        view = self._view
        if view is not None:
            view.apply_camera(client)

    def _run(self) -> None:
        next_panels = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            snapshot = self._session.snapshot
            try:
                self._draw(snapshot)
                if started >= next_panels:
                    next_panels = started + PANEL_SECONDS
                    self._page.update(snapshot)
            except Exception as error:
                self._report(error)
            frame = FRAME_SECONDS if self._viser.get_clients() else IDLE_SECONDS
            self._stopping.wait(max(started + frame - time.monotonic(), 0.002))

    def _draw(self, snapshot: Snapshot) -> None:
        started = time.perf_counter()
        view = self._view
        if view is None or view.task is not snapshot.task:
            view = self._build(snapshot)
        if view.backdrop.dark != self._page.view.dark:
            view.set_dark(self._page.view.dark)
        overlay = self._page.view.overlay
        wanted = overlay.flow_time < 1.0 and self._viser.get_clients()
        self._inspector.look(snapshot.origin if wanted else None, overlay.flow_time)
        on_the_way = self._inspector.newest
        with self._viser.atomic():
            view.draw(snapshot, overlay, None if on_the_way is None else on_the_way.plan)
        if snapshot.number != self._drawn:
            self._drawn = snapshot.number
            self._page.note_draw(snapshot, time.perf_counter() - started)

    def _build(self, snapshot: Snapshot) -> SceneView:
        """Builds the world of another task and brings every browser before it."""
        if self._view is not None:
            self._view.remove()
            self._viser.scene.remove_by_name(self._prefix)
            self._view = None
        # A page that gets a new node under the name of an old one keeps the old one's pose, unless
        # it is told another; so no name is given twice.
        self._views += 1
        session = self._session
        callbacks = SceneCallbacks(
            on_goal=self._guarded(session.set_goal),
            on_push=self._guarded(session.push),
            on_release=self._guarded(session.release_push),
        )
        view = SceneView(
            self._viser, snapshot.task, callbacks, self._prefix, dark=self._page.view.dark
        )
        view.set_initial_camera()
        self._view = view
        for client in self._viser.get_clients().values():
            view.apply_camera(client)
        return view

    def _guarded(self, command: Callable[..., Any]) -> Callable[..., None]:
        """`command`, with a refusal shown instead of raised into the server's event loop."""

        def guarded(*arguments: Any) -> None:
            try:
                command(*arguments)
            except (ValueError, LookupError, TypeError) as error:
                self._tell("Not possible", str(error))

        return guarded

    def _report(self, error: Exception) -> None:
        """Tells of a frame that could not be drawn, once for each kind of failure."""
        kind = f"{type(error).__name__}: {error}"
        if kind in self._failures or len(self._failures) > 20:
            return
        self._failures.add(kind)
        _LOG.exception("the page could not be drawn")
        self._tell(
            "The page could not be drawn",
            f"{kind}. The session goes on; the next frame is drawn as usual.",
        )

    def _tell(self, title: str, text: str) -> None:
        for client in self._viser.get_clients().values():
            client.add_notification(title, text, color="red", auto_close_seconds=12.0)
