"""What is let through to the doors, as whom, and what a browser is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from in_process import UPGRADE, Running, answer, application, response, serving

from transports.asgi import Receive, Scope, Send
from transports.gate import Gate
from transports.identity import identity
from transports.settings import DEFAULTS, HttpSettings
from transports.tokens import TokenFile

TOKEN = "token-of-alice-0001"
BEARER = {"authorization": f"Bearer {TOKEN}"}
PAGE = "https://app.example:8443"


async def who_asks(scope: Scope, receive: Receive, send: Send) -> None:
    """A door that answers with the owner and subject of the request."""
    who = identity(scope)
    if scope["type"] == "http":
        await answer(send, f"{who.owner} {who.subject}".encode())
        return
    await receive()
    await send({"type": "websocket.accept"})
    told = {"who": f"{who.owner} {who.subject}", "offered": list(scope["subprotocols"])}
    await send({"type": "websocket.send", "text": json.dumps(told)})
    await send({"type": "websocket.close"})


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN} alice laptop\nother-token-0123456 bob\n")
    file.chmod(0o600)
    return TokenFile(file)


@asynccontextmanager
async def gated(
    tokens: TokenFile | None = None, **settings: Any
) -> AsyncIterator[tuple[Running, httpx2.AsyncClient]]:
    gate = Gate(application(who_asks), HttpSettings(**settings), tokens)
    async with (
        serving(gate) as server,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        yield server, client


def refused(answered: httpx2.Response, status: int, code: str, field: str | None = None) -> str:
    assert answered.status_code == status, answered.text
    body = answered.json()
    if answered.request.url.path == "/mcp":
        error = body["error"]
        body = {"error": error["message"], **error["data"]}
    assert (body["code"], body["field"]) == (code, field)
    return str(body["error"])


async def test_a_token_says_whose_request_it_is(tokens: TokenFile) -> None:
    async with gated(tokens) as (_, client):
        for given in (f"Bearer {TOKEN}", f"bearer   {TOKEN}", f"BEARER {TOKEN}"):
            told = await client.post("/api/exec", headers={"authorization": given})
            assert told.text == "alice laptop"
        told = await client.get("/mcp", headers={"authorization": "Bearer other-token-0123456"})
        assert told.text == "bob bob"


async def test_without_a_token_a_request_is_challenged_and_the_next_one_works(tokens: TokenFile) -> None:
    async with gated(tokens) as (_, client):
        for path in ("/api/exec", "/mcp", "/sse", "/message", "/metrics", "/api/sessions", "/nowhere"):
            told = await client.post(path, content=b"{}")
            assert "Authorization: Bearer TOKEN" in refused(told, 401, "unauthorized", "Authorization")
            assert told.headers["www-authenticate"] == 'Bearer realm="mcp-v8"'
            assert (await client.post(path, headers=BEARER)).text == "alice laptop"


@pytest.mark.parametrize(
    "given",
    [
        "Bearer",
        "Bearer not-one-of-them-0",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Bearer\t{TOKEN}",
        "Bearer " + "x" * 8_000,
        "Bearer t\xf6ken-0123456789",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer sha256:" + "0" * 64,
    ],
)
async def test_a_bad_token_is_refused_with_401_and_the_next_request_works(
    tokens: TokenFile, given: str
) -> None:
    async with gated(tokens) as (_, client):
        told = await client.post("/api/exec", headers=[(b"authorization", given.encode("latin1"))])
        refused(told, 401, "unauthorized", "Authorization")
        challenge = told.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="mcp-v8", error="invalid_token", error_description="')
        assert TOKEN not in told.text + challenge
        assert (await client.post("/api/exec", headers=BEARER)).text == "alice laptop"


async def test_several_tokens_are_a_400(tokens: TokenFile) -> None:
    async with gated(tokens) as (_, client):
        told = await client.get("/mcp", headers=[*BEARER.items(), *BEARER.items()])
        refused(told, 400, "bad_request", "Authorization")
        assert 'error="invalid_request"' in told.headers["www-authenticate"]


async def test_who_watches_or_reads_the_documents_needs_no_token(tokens: TokenFile) -> None:
    async with gated(tokens) as (_, client):
        for path in ("/healthz", "/readyz", "/docs", "/openapi.json", "/llms.txt", "/"):
            assert (await client.get(path)).text == "local "
        # where MCP clients look for an authorization server: a 401 there would send them round in circles
        assert (await client.get("/.well-known/oauth-protected-resource/mcp")).text == "local "


async def test_a_server_without_tokens_ignores_them() -> None:
    async with gated() as (_, client):
        assert (await client.get("/mcp", headers=BEARER)).text == "local "


async def test_a_page_shows_its_token_in_a_websocket_s_subprotocols(tokens: TokenFile) -> None:
    offer = f"Sec-WebSocket-Protocol: mcp-v8, bearer.{TOKEN}\r\n"
    async with gated(tokens) as (server, _), await server.connect() as stream:
        await stream.send_all(upgrade(offer))
        data = await read_until(stream, b"}")
    assert data.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-protocol: mcp-v8\r\n" in data.lower()
    assert b'{"who": "alice laptop", "offered": ["mcp-v8"]}' in data
    assert TOKEN.encode() not in data


async def test_a_websocket_s_header_goes_before_its_subprotocols(tokens: TokenFile) -> None:
    headers = f"Authorization: Bearer {TOKEN}\r\nSec-WebSocket-Protocol: bearer.nobody-has-this-0\r\n"
    async with gated(tokens) as (server, _), await server.connect() as stream:
        await stream.send_all(upgrade(headers))
        assert b'{"who": "alice laptop", "offered": []}' in await read_until(stream, b"}")


@pytest.mark.parametrize("offer", ["", "Sec-WebSocket-Protocol: mcp-v8, bearer.nobody-has-this-0\r\n"])
async def test_a_websocket_without_a_good_token_is_a_401(tokens: TokenFile, offer: str) -> None:
    async with gated(tokens) as (server, client), await server.connect() as stream:
        await stream.send_all(upgrade(offer))
        head, _, body = (await response(stream)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"www-authenticate: bearer" in head.lower()
        assert json.loads(body)["code"] == "unauthorized"
        assert (await client.get("/mcp", headers=BEARER)).text == "alice laptop"


def upgrade(headers: str) -> bytes:
    return UPGRADE.replace(b" / ", b" /api ").replace(b"\r\n\r\n", f"\r\n{headers}\r\n".encode())


async def read_until(stream: trio.SocketStream, end: bytes) -> bytes:
    data = b""
    while end not in data:
        data += (await stream.receive_some()) or pytest.fail(f"the connection ended after {data!r}")
    return data


async def test_a_page_of_an_allowed_origin_may_call_and_read(tokens: TokenFile) -> None:
    async with gated(tokens, allowed_origins=(PAGE,)) as (_, client):
        for path in ("/api/exec", "/mcp", "/sse", "/message"):
            asked = {
                "origin": PAGE,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type,mcp-param-x",
            }
            preflight = await client.options(path, headers=asked)
            assert (preflight.status_code, preflight.content) == (204, b"")
            assert preflight.headers["access-control-allow-origin"] == PAGE
            assert "Origin" in preflight.headers["vary"]
            assert {"GET", "POST", "PUT", "DELETE"} <= listed(preflight, "access-control-allow-methods")
            assert {
                "Authorization",
                "Content-Type",
                "Mcp-Session-Id",
                "Mcp-Protocol-Version",
                "Mcp-Method",
                "Mcp-Name",
                "Last-Event-ID",
                "Prefer",
                "Idempotency-Key",
                "X-MCP-Session-Id",
                "*",
            } <= listed(preflight, "access-control-allow-headers")
            told = await client.post(path, headers={**BEARER, "origin": PAGE})
            assert told.text == "alice laptop"
            assert told.headers["access-control-allow-origin"] == PAGE
            assert "access-control-allow-credentials" not in told.headers
            assert {"Mcp-Session-Id", "Location", "Preference-Applied", "Retry-After"} <= listed(
                told, "access-control-expose-headers"
            )


async def test_a_page_can_read_why_it_is_refused(tokens: TokenFile) -> None:
    async with gated(tokens, allowed_origins=(PAGE,)) as (_, client):
        told = await client.post("/mcp", headers={"origin": PAGE})
        refused(told, 401, "unauthorized", "Authorization")
        assert told.headers["access-control-allow-origin"] == PAGE
        assert "WWW-Authenticate" in listed(told, "access-control-expose-headers")


@pytest.mark.parametrize(
    "origin", ["https://app.example", "http://app.example:8443", f"{PAGE}.evil.example", "null", "x"]
)
async def test_a_page_of_another_origin_is_told_of_the_flag(origin: str) -> None:
    async with gated(allowed_origins=(PAGE,)) as (_, client):
        asked = {"origin": origin, "access-control-request-method": "POST"}
        for told in (await client.options("/mcp", headers=asked), await client.get("/mcp", headers=asked)):
            sentence = refused(told, 403, "origin_not_allowed", "Origin")
            assert "--allowed-origins" in sentence
            assert "access-control-allow-origin" not in told.headers


async def test_pages_of_the_server_s_own_names_may_read_too() -> None:
    async with gated(allowed_hosts=("js.example",)) as (_, client):
        for origin in ("http://localhost:6274", "https://js.example"):
            told = await client.get("/mcp", headers={"origin": origin})
            assert told.headers["access-control-allow-origin"] == origin


async def test_a_star_lets_every_page_in() -> None:
    async with gated(allowed_origins=("*",)) as (_, client):
        for origin in (PAGE, "null", "vscode-webview://abc"):
            told = await client.get("/mcp", headers={"origin": origin})
            assert (told.text, told.headers["access-control-allow-origin"]) == ("local ", origin)


async def test_what_is_no_page_is_told_nothing_of_origins() -> None:
    async with gated(allowed_origins=("*",)) as (_, client):
        told = await client.get("/mcp")
        assert not [name for name in told.headers if name.startswith("access-control-")]


def listed(answered: httpx2.Response, header: str) -> set[str]:
    return {word.strip() for word in answered.headers[header].split(",")}


async def test_too_many_requests_are_a_429_with_the_time_to_wait(tokens: TokenFile) -> None:
    async with gated(tokens, requests_per_second=5) as (_, client):
        asked = [await client.get("/mcp", headers=BEARER) for _ in range(20)]
        assert asked[0].status_code == 200
        late = next(one for one in asked if one.status_code != 200)
        assert "--max-requests-per-second" in refused(late, 429, "too_many_requests")
        assert late.headers["retry-after"] == "1"
        # another owner, and whoever watches the server, is not held up by that
        told = await client.get("/mcp", headers={"authorization": "Bearer other-token-0123456"})
        assert told.text == "bob bob"
        for _ in range(20):
            assert (await client.get("/healthz")).status_code == 200


async def test_guesses_of_tokens_are_counted_by_address(tokens: TokenFile) -> None:
    async with gated(tokens, requests_per_second=5) as (_, client):
        guesses = [
            (await client.get("/mcp", headers={"authorization": f"Bearer guess-{n:020}"})).status_code
            for n in range(20)
        ]
        assert set(guesses) == {401, 429}
        assert (await client.get("/mcp", headers=BEARER)).text == "alice laptop"


async def test_zero_lets_any_number_through() -> None:
    async with gated(requests_per_second=0) as (_, client):
        assert {(await client.get("/mcp")).status_code for _ in range(50)} == {200}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:0:0:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
async def test_an_ipv6_client_is_its_network(one: str, other: str, same: bool) -> None:
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    gate = Gate(application(who_asks), HttpSettings(requests_per_second=1))
    for address in (one, other):
        scope = {
            "type": "http",
            "path": "/mcp",
            "method": "GET",
            "headers": [(b"host", b"localhost")],
            "client": (address, 1),
        }
        await gate(scope, trio.lowlevel.checkpoint, send)
    assert statuses == [200, 429 if same else 200]


def test_the_default_is_a_rate_that_people_do_not_reach() -> None:
    assert DEFAULTS.requests_per_second == 2_000
