"""The viser server of the browser front end: where it listens, whom it lets in, how it stops."""

from __future__ import annotations

import errno
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gpc_studio.app.web.security import (
    MAX_MESSAGE_BYTES,
    Access,
    is_acceptable,
    is_loopback,
    refuse,
)

if TYPE_CHECKING:
    import viser
    from websockets.asyncio.server import Server, ServerConnection
    from websockets.http11 import Request, Response

_CONSTRUCTION = threading.Lock()


class ServerError(RuntimeError):
    """The server cannot listen where it was asked to."""


class WebServer:
    """A viser server with access rules, bound before anything else happens.

    Attributes:
        viser: The server whose scene and GUI front ends write to.
        host: Address that it listens on.
        port: Port that it listens on, never another than the one asked for.
        token: Secret that the URL must carry, or None on loopback without one.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8080, token: str | None = None) -> None:
        """Starts listening.

        Args:
            host: Address to listen on; beyond loopback a token is required.
            port: Port, or 0 for any free one.
            token: Secret for the URL; None makes one where one is required.

        Raises:
            ServerError: The address or port is not available; the message says how to go on.
        """
        listener = _listen(host, port)
        self.host = host
        self.port: int = listener.getsockname()[1]
        local = is_loopback(host)
        self.token = token or (None if local else secrets.token_urlsafe(24))
        access = Access(self.port, self.token, any_host=not local)
        try:
            self.viser, self._connections = _start_viser(host, listener, access)
        except BaseException:
            listener.close()
            raise

    @property
    def url(self) -> str:
        """Address for a browser, with the token where there is one.

        A server that listens everywhere is told by the name of its machine.
        """
        name = "localhost" if is_loopback(self.host) else self.host.strip("[]")
        if name in ("0.0.0.0", "::", ""):
            name = socket.gethostname()
        if ":" in name:
            name = f"[{name}]"
        return f"http://{name}:{self.port}" + (f"/?token={quote(self.token)}" if self.token else "")

    def stop(self) -> None:
        """Disconnects all browsers and stops listening."""
        websocket_server = self.viser._websock_server
        loop, thread = websocket_server._background_event_loop, websocket_server._server_thread
        assert loop is not None and thread is not None
        if not thread.is_alive():
            return

        def abort() -> None:
            # The library would shake hands with every page first, and a page may be busy drawing;
            # it would also wait for sockets that a browser has opened in advance, but not used.
            # Listening ends in the same turn of the loop, or the pages would be back at once.
            assert websocket_server._stop_event is not None
            websocket_server._stop_event.set()
            for connection in tuple(self._connections.handlers):
                connection.transport.abort()

        with _quiet():
            loop.call_soon_threadsafe(abort)
            self.viser.stop()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; binding it here lets no other port be taken silently."""
    if not 0 <= port <= 65535:
        raise ServerError(f"port: expected 0 to 65535 (0: any free port), got {port}")
    name = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ServerError(f"host: {host!r} is not an address of this machine ({error})") from error
    try:
        return socket.create_server((str(address[0]), port), family=family, backlog=100)
    except OSError as error:
        raise ServerError(_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use, perhaps by another GPC Studio: "
            "choose another with --port, or --port 0 for any free one"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has: choose --port 1024 or above"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host: {host!r} is not an address of this machine: choose another with --host"
    return f"cannot listen on {host}:{port} ({error}): choose another with --host or --port"


def _start_viser(
    host: str, listener: socket.socket, access: Access
) -> tuple[viser.ViserServer, Server]:
    """Starts viser on `listener`, with `access` between it and the network.

    Returns:
        viser's server, and the library's server below it.

    viser builds its websocket server itself and hands none of that library's hooks through. So
    the library's `serve` is exchanged while viser starts, for the one call that viser's worker
    thread makes; the constructor returns only after that call.
    """
    import viser
    import websockets.asyncio.server as library

    original = library.serve
    guarded: list[Server] = []

    def serve(handler: Any, *args: Any, **options: Any) -> Any:
        page = options.get("process_request")
        if page is None or getattr(page, "__module__", None) != "viser.infra._infra":
            return original(handler, *args, **options)
        options |= {
            "process_request": _guarded_requests(page, access),
            "max_size": MAX_MESSAGE_BYTES,
            "sock": listener,
        }
        serving = original(_guarded_messages(handler), **options)
        guarded.append(serving.server)
        return serving

    with _CONSTRUCTION, _quiet():
        library.serve = serve  # pyright: ignore[reportAttributeAccessIssue]
        try:
            server = viser.ViserServer(host=host, port=access.port, verbose=False)
        finally:
            library.serve = original
    if not guarded:
        server.stop()
        raise ServerError(
            f"viser {viser.__version__} opens its server in an unknown way, so access to it "
            "cannot be checked: install the version in constraints.txt"
        )
    server.request_share_url = lambda verbose=True: None
    return server, guarded[0]


def _guarded_requests(
    page: Callable[[ServerConnection, Request], Response | None], access: Access
) -> Callable[[ServerConnection, Request], Response | None]:
    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        reason = access.refusal(request)
        if reason is not None:
            return refuse(connection, reason)
        response = page(connection, request)
        if response is not None:
            response.headers.update(access.page_headers(request))
        return response

    return process_request


def _guarded_messages(
    handler: Callable[[ServerConnection], Awaitable[None]],
) -> Callable[[ServerConnection], Awaitable[None]]:
    """A connection handler that never gets to see what a page may not send."""

    async def handle(connection: ServerConnection) -> None:
        receive = connection.recv

        async def receive_acceptable(*args: Any, **options: Any) -> Any:
            while True:
                raw = await receive(*args, **options)
                if is_acceptable(raw) and _is_complete(raw):
                    return raw

        connection.recv = receive_acceptable  # pyright: ignore[reportAttributeAccessIssue]
        await handler(connection)

    return handle


def _is_complete(raw: bytes) -> bool:
    """Whether viser can read a message; one that it cannot would end the connection."""
    from viser import _messages

    try:
        _messages.Message.deserialize(raw)
    except Exception:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps viser's own banner, which knows neither token nor program, off the terminal."""
    import rich

    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before
