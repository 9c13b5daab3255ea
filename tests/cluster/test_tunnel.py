# ruff: noqa: ARG001 (applications have the signature of ASGI)
"""Requests that another node answers: what passes, in which pieces, and what becomes of them when somebody leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio
from in_process import answer, application, serving
from meeting import Node, node, socket_to
from trio_websocket import ConnectionClosed

from cluster.doors import HeldElsewhere
from cluster.peers import NodeUnreached
from cluster.tunnel import FORWARDED
from engine.errors import EngineError, NodeLost
from transports import asgi
from transports.errors import engine_answer
from transports.identity import SCOPE_KEY, Identity, identity

pytestmark = pytest.mark.filterwarnings(
    # streams that are left early leave generators of the HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning",
)

WHO = Identity("ann", "ann-laptop", b"x" * 32)


class Met:
    """A node, where clients come, that forwards all to another one."""

    def __init__(self, near: Node, url: str, port: int) -> None:
        self.near, self.url, self.port = near, url, port


@asynccontextmanager
async def tunnelled(app: asgi.Application, book: dict[str, str] | None = None) -> AsyncIterator[Met]:
    """What clients ask node a, node b answers by ``app``."""
    book = {} if book is None else book
    async with node("a", book) as near, node("b", book) as far, far.tunnel.running(app):

        @application
        async def front(scope: Any, receive: Any, send: Any) -> None:
            scope[SCOPE_KEY] = WHO
            try:
                await near.tunnel.forward("b", scope, receive, send)
            except EngineError as error:
                await asgi.send_answer(scope, send, engine_answer(error))

        async with serving(front) as server:
            yield Met(near, f"http://127.0.0.1:{server.port}", server.port)


async def test_a_request_and_its_answer_pass_whole() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await asgi.read_body(scope, receive, 10 << 20)
        seen.append((scope, body))
        headers = [(b"content-length", str(len(body)).encode()), (b"x-one", b"1"), (b"x-one", b"2")]
        await send({"type": "http.response.start", "status": 207, "headers": headers})
        await send({"type": "http.response.body", "body": body[:10], "more_body": True})
        await send({"type": "http.response.body", "body": body[10:]})

    body = bytes(range(256)) * 12_000
    async with tunnelled(app) as met, httpx2.AsyncClient(base_url=met.url) as client:
        told = await client.put("/a%20b/ü?x=1&y=%C3%A4", content=body, headers={"X-Mine": "yes"})
    assert (told.status_code, told.content) == (207, body)
    assert told.headers.get_list("x-one") == ["1", "2"]
    ((scope, came),) = seen
    assert came == body
    assert (scope["method"], scope["path"], scope["query_string"]) == ("PUT", "/a b/ü", b"x=1&y=%C3%A4")
    assert asgi.header(scope, b"x-mine") == "yes"
    assert scope["client"][0] == "127.0.0.1"
    assert identity(scope) == WHO
    assert scope[FORWARDED] == "a"


async def test_what_is_streamed_comes_as_it_is_sent_and_the_end_of_the_client_is_told_not_felt() -> None:
    left = trio.Event()
    ended = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        left.set()
        await send({"type": "http.response.body", "body": b"to nobody", "more_body": True})
        await trio.sleep(0.01)
        ended.set()

    async with tunnelled(app) as met:
        async with httpx2.AsyncClient(base_url=met.url) as client, client.stream("GET", "/") as response:
            async for part in response.aiter_raw():
                assert part == b"first"
                break
        with trio.fail_after(10):
            await left.wait()
            await ended.wait()


async def test_an_answer_before_the_body_is_complete_reaches_the_client() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"too much", 413)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(10_000)

    async with tunnelled(app) as met, httpx2.AsyncClient(base_url=met.url) as client:
        told = await client.post("/", content=endless())
        assert (told.status_code, told.text) == (413, "too much")


async def test_several_tasks_may_answer_and_wait_for_the_client_to_leave() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with trio.open_nursery() as nursery:

            async def say(letter: bytes) -> None:
                for _ in range(20):
                    await send({"type": "http.response.body", "body": letter * 50_000, "more_body": True})

            nursery.start_soon(asgi.cancel_when_gone, receive, trio.CancelScope())
            async with trio.open_nursery() as saying:
                saying.start_soon(say, b"a")
                saying.start_soon(say, b"b")
            await send({"type": "http.response.body", "body": b""})
            nursery.cancel_scope.cancel()

    async with tunnelled(app) as met, httpx2.AsyncClient(base_url=met.url) as client:
        told = (await client.get("/")).content
        assert told.count(b"a") == told.count(b"b") == 1_000_000


async def test_an_application_that_fails_is_a_500_or_cuts_its_answer_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            headers = [(b"content-length", b"100")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise ZeroDivisionError

    async with tunnelled(app) as met, httpx2.AsyncClient(base_url=met.url) as client:
        assert (await client.get("/")).status_code == 500
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get("/late")
    assert caplog.text.count("\nZeroDivisionError") == 2


async def test_a_websocket_passes_in_both_directions_with_its_close() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        for _ in range(2):
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"], "bytes": message["bytes"]})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})

    async with (
        tunnelled(app) as met,
        socket_to(met.port, "/any", subprotocols=["mine"]) as socket,
    ):
        assert socket.subprotocol == "mine"
        for message in ("text", b"bytes"):
            await socket.send_message(message)
            assert await socket.get_message() == message
        with pytest.raises(ConnectionClosed) as closed:
            await socket.get_message()
        assert closed.value.reason is not None
        assert (closed.value.reason.code, closed.value.reason.reason) == (4001, "enough")


async def test_a_node_that_is_not_there_is_told_before_anything_is_answered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    book: dict[str, str] = {}
    async with tunnelled(app, book) as met, httpx2.AsyncClient(base_url=met.url) as client:
        assert (await client.get("/")).text == "hello"
        met.near.peers.lost("b")
        address = book.pop("b")
        told = await client.get("/")
        assert (told.status_code, told.json()["code"], told.headers["retry-after"]) == (503, "node_lost", "1")
        book["b"] = address
        assert (await client.get("/")).text == "hello"


async def test_a_node_that_goes_away_cuts_off_what_it_was_answering() -> None:
    began = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            began.set()
            await trio.sleep_forever()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"so far", "more_body": True})
        await trio.sleep_forever()

    async with tunnelled(app) as met, httpx2.AsyncClient(base_url=met.url) as client:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:

                async def late() -> None:
                    assert (await client.get("/late")).json()["code"] == "node_lost"

                nursery.start_soon(late)
                async with client.stream("GET", "/") as response:
                    parts = response.aiter_raw()
                    assert await anext(parts) == b"so far"
                    await began.wait()
                    met.near.peers.lost("b")
                    with pytest.raises(httpx2.RemoteProtocolError):
                        await anext(parts)


# --- whose connection it is -----------------------------------------------------------------------


def scope_of(path: str, query: bytes = b"", **headers: str) -> Any:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "query_string": query, "headers": named}


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        (scope_of("/mcp", mcp_session_id="b.1f"), "b"),
        (scope_of("/mcp/", mcp_session_id="b.1f"), "b"),
        (scope_of("/message", b"session_id=b.1f"), "b"),
        (scope_of("/mcp", mcp_session_id="a.1f"), "here"),
        (scope_of("/mcp", mcp_session_id="1f"), "here"),
        (scope_of("/mcp", mcp_session_id="gone.1f"), "here"),
        (scope_of("/mcp"), "here"),
        (scope_of("/message", b"session_id=a.1f"), "here"),
        (scope_of("/message", b"session_id=b.1&session_id=b.1"), "here"),
        (scope_of("/message"), "here"),
        (scope_of("/api/exec", mcp_session_id="b.1f"), "here"),
        ({**scope_of("/mcp", mcp_session_id="b.1f"), FORWARDED: "c"}, "here"),
        ({"type": "lifespan"}, "here"),
    ],
)
async def test_a_request_goes_to_the_node_that_has_its_connection_and_never_on_from_there(
    scope: Any, where: str
) -> None:
    went: list[str] = []

    class Tunnel:
        async def forward(self, node: str, *_: Any) -> None:
            went.append(node)

    async def here(*_: Any) -> None:
        went.append("here")

    door = HeldElsewhere(here, Tunnel(), "a", {"a", "b"}.__contains__, _nobody)  # type: ignore[arg-type]
    await door(scope, None, None)  # type: ignore[arg-type]
    assert went == [where]


@pytest.mark.parametrize("error", [NodeLost("it went"), NodeUnreached("it is silent")])
async def test_a_node_that_cannot_be_asked_is_told_in_the_words_of_the_door(error: NodeLost) -> None:
    class Tunnel:
        async def forward(self, *_: Any) -> None:
            raise error

    sent: list[Mapping[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    door = HeldElsewhere(None, Tunnel(), "a", lambda _: True, _nobody)  # type: ignore[arg-type]
    receive: Callable[..., Any] = trio.sleep_forever
    await door(scope_of("/mcp", mcp_session_id="b.1f"), receive, send)
    await door(scope_of("/message", b"session_id=b.1f"), receive, send)
    assert [message["status"] for message in sent[::2]] == [503, 503]
    assert b'"jsonrpc"' in sent[1]["body"]
    assert sent[3]["body"].startswith(b'{"error":"it ')


def _nobody(_owner: str, _name: str) -> str | None:
    """No node has any session."""
    return None


async def test_who_follows_a_session_is_led_to_the_node_that_has_it() -> None:
    class Tunnel:
        def __init__(self) -> None:
            self.nodes: list[str] = []

        async def forward(self, node: str, *_: object) -> None:
            self.nodes.append(node)

    async def here(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        tunnel.nodes.append("here")

    tunnel = Tunnel()
    nodes = {("local", "there"): "b", ("local", "mine"): "a", ("local", "lost"): "c"}
    door = HeldElsewhere(
        here,
        tunnel,  # type: ignore[arg-type]
        "a",
        {"a", "b"}.__contains__,
        lambda owner, name: nodes.get((owner, name)),
    )
    for name in ("there", "mine", "lost", "new"):
        scope = {"type": "websocket", "path": f"/api/sessions/{name}/stream", "headers": []}
        await door(scope, None, None)  # type: ignore[arg-type]
    assert tunnel.nodes == ["b", "here", "here", "here"]
