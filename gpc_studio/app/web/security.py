"""Who may talk to the web server, and what a page may say to it.

viser accepts any connection and any of its messages. Three doors are closed here: a page of another
site that is open in the same browser (`Origin`), a foreign name that resolves to this machine (DNS
rebinding, `Host`), and, as soon as the server listens beyond this machine, everybody without the
token. A fourth check looks at every message of a connection that was let in: viser writes what it
receives into its own objects and sends it on to all pages, so one message with an integer too
large for its encoder would cut off every page for good.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

MAX_MESSAGE_BYTES = 16 * 2**20
"""A page's largest legitimate message is a rendered image of its canvas."""

PAGE_MESSAGES = frozenset({
    "CommandTriggerMessage",
    "GetRenderResponseMessage",
    "GuiUpdateMessage",
    "LocalStorageGetItemResponseMessage",
    "SceneNodeClickMessage",
    "SceneNodeDragMessage",
    "ScenePointerMessage",
    "TransformControlsDragEndMessage",
    "TransformControlsDragStartMessage",
    "TransformControlsUpdateMessage",
    "ViewerCameraMessage",
})  # fmt: skip
"""What a page needs to send. Not among them: requests for viser's public share tunnel, uploads,
and anything that only a server says."""

_LARGEST_INTEGER = 2**53
_LONGEST_TEXT = 4096
_DEEPEST_NESTING = 6


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """Rules for an HTTP request or websocket handshake.

    Attributes:
        port: Port that the server listens on; it sets cookies of several servers apart.
        token: Secret that must come in the URL or in the cookie that the page was given, or None.
        any_host: Whether the server may be addressed by any name. Only safe with a token: the
            cookie that carries it is not sent to a name that was rebound.
    """

    port: int
    token: str | None = None
    any_host: bool = False

    @property
    def cookie_name(self) -> str:
        """Cookies are shared by all ports of a host, so the port is part of the name."""
        return f"gpc_studio_{self.port}"

    def refusal(self, request: Request) -> str | None:
        """Why a request is refused, in words for the person who made it, or None."""
        host = _only(request.headers, "Host")
        if host is None or not (self.any_host or is_loopback(_name(host))):
            return (
                f"GPC Studio does not answer to the name {host!r}: "
                f"open http://localhost:{self.port} on the machine where it runs."
            )
        origins = request.headers.get_all("Origin")
        if origins and not _same_origin(origins, host):
            return f"GPC Studio is not open to pages of another site ({', '.join(origins)})."
        if self.token is not None and not self._has_token(request):
            return "A token is required: open the whole URL that GPC Studio printed (?token=...)."
        return None

    def page_headers(self, request: Request) -> Mapping[str, str]:
        """Headers added to every page: who may frame it, and the token's cookie."""
        headers = {
            "Content-Security-Policy": "frame-ancestors 'self'",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        if self.token is not None and _token_in_url(request) is not None:
            # The page's websocket has no query string, but it does send the page's cookies.
            value = quote(self.token, safe="")
            headers["Set-Cookie"] = f"{self.cookie_name}={value}; Path=/; HttpOnly; SameSite=Strict"
        return headers

    def _has_token(self, request: Request) -> bool:
        assert self.token is not None
        given = (_token_in_url(request), self._token_in_cookie(request))
        return any(
            [hmac.compare_digest(text.encode(), self.token.encode()) for text in given if text]
        )

    def _token_in_cookie(self, request: Request) -> str | None:
        for header in request.headers.get_all("Cookie"):
            try:
                morsel = SimpleCookie(header).get(self.cookie_name)
            except CookieError:
                continue
            if morsel is not None:
                return unquote(morsel.value)
        return None


def refuse(connection: ServerConnection, reason: str) -> Response:
    """The answer to a request that is not let in."""
    return connection.respond(HTTPStatus.FORBIDDEN, reason + "\n")


def is_acceptable(raw: str | bytes) -> bool:
    """Whether a websocket message is one that a page may send.

    Its type must be one of `PAGE_MESSAGES`, its numbers must be finite and within what msgpack and
    JavaScript represent exactly, and a control's update may only carry a value.
    """
    if not isinstance(raw, bytes) or len(raw) > MAX_MESSAGE_BYTES:
        return False
    try:
        message = msgspec.msgpack.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if not isinstance(message, dict):
        return False
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in PAGE_MESSAGES:
        return False
    if kind == "GuiUpdateMessage":
        updates = message.get("updates")
        if not isinstance(updates, dict) or set(updates) != {"value"}:
            return False
    return _is_plain(message, _DEEPEST_NESTING)


def _is_plain(value: Any, depth: int) -> bool:
    if depth == 0:
        return False
    if isinstance(value, bool) or value is None or isinstance(value, bytes):
        return True
    if isinstance(value, int):
        return abs(value) <= _LARGEST_INTEGER
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) <= _LARGEST_INTEGER
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    if isinstance(value, dict):
        return all(_is_plain(k, depth - 1) and _is_plain(v, depth - 1) for k, v in value.items())
    return isinstance(value, list) and all(_is_plain(item, depth - 1) for item in value)


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None


def _name(host: str) -> str:
    """The name in a `Host` header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_origin(origins: list[str], host: str) -> bool:
    """Whether a page of `origins` was served by the server it now talks to (`host`)."""
    if len(origins) != 1:
        return False
    try:
        origin = urlsplit(origins[0])
    except ValueError:
        return False
    return origin.scheme in ("http", "https") and origin.netloc.lower() == host.lower()


def _token_in_url(request: Request) -> str | None:
    query = request.path.partition("?")[2]
    return parse_qs(query).get("token", [None])[0]
