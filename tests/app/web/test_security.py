"""The server's doors, tried with plain HTTP and websocket clients."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time

import msgspec
import pytest
import viser
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gpc_studio.app.web.security import is_acceptable, is_loopback
from gpc_studio.app.web.server import ServerError, WebServer

PROTOCOL = f"viser-v{viser.__version__}"
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": [1.0, 0.0, 0.0, 0.0], "position": [1.0, 0.0, 0.0],
    "fov": 0.8, "near": 0.1, "far": 100.0, "image_height": 720, "image_width": 1280,
    "look_at": [0.0, 0.0, 0.0], "up_direction": [0.0, 0.0, 1.0],
}  # fmt: skip


@pytest.fixture
def server():
    server = WebServer(port=0)
    yield server
    server.stop()


@pytest.fixture
def guarded():
    """A server on all addresses, which therefore asks for a token."""
    server = WebServer(host="0.0.0.0", port=0)
    yield server
    server.stop()


def handshake(server, *, query="", headers=None, origin=None, host=None):
    """Connects and returns the first message, or the status of the refusal."""

    async def run():
        uri = f"ws://{host or '127.0.0.1'}:{server.port}/{query}"
        try:
            async with connect(
                uri, subprotocols=[PROTOCOL], origin=origin, additional_headers=headers,
                host="127.0.0.1", port=server.port, compression=None, max_size=None,
            ) as connection:  # fmt: skip
                return await asyncio.wait_for(connection.recv(), 5.0)
        except InvalidStatus as error:
            return error.response.status_code

    return asyncio.run(run())


def page(server, path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response, response.read()


def converse(server, messages, then):
    """Sends messages as a page would, waits for `then()`; returns the connection's close code."""

    async def run():
        async with connect(
            f"ws://127.0.0.1:{server.port}/", subprotocols=[PROTOCOL], compression=None,
            max_size=None,
        ) as connection:  # fmt: skip

            async def drain():
                async for _ in connection:
                    pass

            draining = asyncio.create_task(drain())
            try:
                for message in messages:
                    raw = (
                        message
                        if isinstance(message, (bytes, str))
                        else msgspec.msgpack.encode(message)
                    )
                    await connection.send(raw)
                deadline = time.monotonic() + 5.0
                while not then() and time.monotonic() < deadline:
                    await asyncio.sleep(0.02)
                alive = await asyncio.wait_for(await connection.ping(), 5.0)
                return None if alive is not None else 0
            except ConnectionClosed as error:
                return error.rcvd.code if error.rcvd else 1006
            finally:
                draining.cancel()

    return asyncio.run(run())


def test_own_page_is_let_in(server):
    assert isinstance(handshake(server, origin=f"http://127.0.0.1:{server.port}"), bytes)


def test_page_addressed_by_name_is_let_in(server):
    origin = f"http://localhost:{server.port}"
    assert isinstance(handshake(server, origin=origin, host="localhost"), bytes)


def test_program_without_origin_is_let_in_on_loopback(server):
    assert isinstance(handshake(server), bytes)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:1", "null", "https://127.0.0.1", "file://"]
)
def test_foreign_origin_is_refused(server, origin):
    assert handshake(server, origin=origin) == 403


def test_rebound_name_is_refused(server):
    assert (
        handshake(server, host="evil.example", origin=f"http://evil.example:{server.port}") == 403
    )
    response, text = page(server, Host=f"evil.example:{server.port}")
    assert response.status == 403
    assert b"evil.example" in text


def test_page_is_served_with_headers_against_framing(server):
    response, text = page(server)
    assert response.status == 200
    assert b"<html" in text
    assert response.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Set-Cookie"] is None


def test_token_is_made_beyond_loopback_only(server, guarded):
    assert server.token is None
    assert len(guarded.token) >= 32
    assert guarded.url.endswith(f":{guarded.port}/?token={guarded.token}")


def test_url_is_one_that_other_machines_can_open(server, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "workstation")
    assert server.url == f"http://localhost:{server.port}"
    everywhere = WebServer("0.0.0.0", 0)
    try:
        token = everywhere.token
        assert everywhere.url == f"http://workstation:{everywhere.port}/?token={token}"
    finally:
        everywhere.stop()


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%00", "?other=1"])
def test_missing_or_wrong_token_is_refused(guarded, query):
    assert handshake(guarded, query=query) == 403
    response, text = page(guarded, f"/{query}")
    assert response.status == 403
    assert b"token" in text


def test_token_in_the_url_is_let_in(guarded):
    assert isinstance(handshake(guarded, query=f"?token={guarded.token}"), bytes)


def test_page_gets_a_cookie_that_opens_its_websocket(guarded):
    response, _ = page(guarded, f"/?token={guarded.token}")
    assert response.status == 200
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    pair = cookie.split(";")[0]
    assert str(guarded.port) in pair.split("=")[0]
    assert isinstance(handshake(guarded, headers={"Cookie": pair}), bytes)
    assert handshake(guarded, headers={"Cookie": pair + "x"}) == 403
    assert handshake(guarded, headers={"Cookie": pair}, origin="http://evil.example") == 403


def test_given_token_is_required_on_loopback_too():
    server = WebServer(port=0, token="a secret; of mine & yours")
    query = server.url.partition("/?")[2]
    try:
        assert handshake(server) == 403
        assert isinstance(handshake(server, query=f"?{query}"), bytes)
        cookie = page(server, f"/?{query}")[0].headers["Set-Cookie"].split("; Path")[0]
        assert isinstance(handshake(server, headers={"Cookie": cookie}), bytes)
    finally:
        server.stop()


def test_share_tunnel_cannot_be_requested(server):
    asked = []
    server.viser.request_share_url = lambda *a, **k: asked.append(1)
    seen = []

    @server.viser.on_client_connect
    async def _(client):
        seen.append(client)

    code = converse(server, [{"type": "ShareUrlRequest"}, CAMERA], lambda: seen)
    assert seen and code is None
    assert not asked


def test_share_tunnel_is_off_for_callers_too(server):
    assert server.viser.request_share_url() is None


@pytest.mark.filterwarnings("ignore:.*does not match annotation")
@pytest.mark.parametrize(
    "garbage",
    [
        b"", b"\xff" * 100, b"\x81\xa4type\xa3Foo", "text", b"\xc1", b"\x91" * 5000,
        {"type": "GuiUpdateMessage", "uuid": "x"},
        {"type": "ViewerCameraMessage"} | {"fov": float("nan")},
        {"type": "SceneNodeDragMessage", "name": "/world"},
        {"type": "TransformControlsUpdateMessage", "name": 1, "wxyz": "x", "position": None},
        {"type": ["ShareUrlRequest"]},
        [1, 2, 3],
    ],
)  # fmt: skip
def test_garbage_is_ignored_and_the_server_lives(server, garbage):
    seen = []

    @server.viser.on_client_connect
    async def _(client):
        seen.append(client)

    assert converse(server, [garbage, CAMERA], lambda: seen) is None
    assert len(seen) == 1
    assert isinstance(handshake(server), bytes)


def test_oversized_message_costs_only_its_own_connection(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode()
        )
        received = b""
        while b"\r\n\r\n" not in received:
            received += raw.recv(65536)
        # The header of a binary frame (0x82), masked, whose length is given in eight bytes.
        raw.sendall(b"\x82\xff" + (17 * 2**20).to_bytes(8, "big") + b"\x00" * 4)
        while chunk := raw.recv(65536):
            received += chunk
    assert b"exceeds limit of 16777216 bytes" in received
    assert isinstance(handshake(server), bytes)


def test_integer_beyond_the_encoder_reaches_nobody(server):
    slider = server.viser.gui.add_slider("Samples", 2, 64, 1, 32)
    checkbox = server.viser.gui.add_checkbox("Ghosts", True)
    huge = {"type": "GuiUpdateMessage", "uuid": slider._impl.uuid, "updates": {"value": 1e300}}
    good = {"type": "GuiUpdateMessage", "uuid": checkbox._impl.uuid, "updates": {"value": False}}
    assert converse(server, [CAMERA, huge, good], lambda: not checkbox.value) is None
    assert slider.value == 32
    assert checkbox.value is False
    assert isinstance(handshake(server), bytes)


def test_only_a_controls_value_can_be_written(server):
    slider = server.viser.gui.add_slider("Samples", 2, 64, 1, 32)
    checkbox = server.viser.gui.add_checkbox("Ghosts", True)
    hostile = {"type": "GuiUpdateMessage", "uuid": slider._impl.uuid, "updates": {"removed": True}}
    good = {"type": "GuiUpdateMessage", "uuid": checkbox._impl.uuid, "updates": {"value": False}}
    converse(server, [CAMERA, hostile, good], lambda: not checkbox.value)
    assert checkbox.value is False
    assert slider._impl.removed is False


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 2**60, "x" * 5000, [[[[[[1]]]]]]])
def test_values_that_no_control_sends_are_not_acceptable(value):
    message = {"type": "GuiUpdateMessage", "uuid": "x", "updates": {"value": value}}
    assert not is_acceptable(msgspec.msgpack.encode(message))


def test_values_of_controls_are_acceptable():
    for value in (1, 0.5, True, "cem", [1, 2, 3]):
        message = {"type": "GuiUpdateMessage", "uuid": "x", "updates": {"value": value}}
        assert is_acceptable(msgspec.msgpack.encode(message))


def test_busy_port_is_said_before_anything_is_started(server):
    with pytest.raises(ServerError, match=f"port {server.port}.*--port"):
        WebServer(port=server.port)


def test_port_out_of_range_and_unknown_host_are_said():
    with pytest.raises(ServerError, match="0 to 65535"):
        WebServer(port=70000)
    with pytest.raises(ServerError, match=r"host: '192\.0\.2\.1'"):
        WebServer(host="192.0.2.1", port=0)


def test_default_is_not_reachable_from_other_addresses(server):
    addresses = {
        info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    }
    for address in addresses - {"127.0.0.1"}:
        if address.startswith("127."):
            continue
        with pytest.raises(OSError):
            socket.create_connection((address, server.port), timeout=0.5)
    assert server.viser._websock_server._port == server.port


def test_loopback_names():
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.0.2", "example.org", ""]))


def test_stop_is_quick_with_a_client_connected():
    server = WebServer(port=0)
    # As browsers do, a socket that was opened in advance and never used.
    idle = socket.create_connection(("127.0.0.1", server.port))

    async def stay():
        async with connect(
            f"ws://127.0.0.1:{server.port}/", subprotocols=[PROTOCOL], compression=None
        ) as connection:
            await connection.recv()
            started = time.monotonic()
            await asyncio.to_thread(server.stop)
            return time.monotonic() - started

    assert asyncio.run(stay()) < 1.0
    assert not server.viser._websock_server._server_thread.is_alive()
    server.stop()  # Again, to no effect.
    idle.close()
