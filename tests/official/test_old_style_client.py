"""A client of 2024, by hand: it knows HTTP with SSE as the revision 2024-11-05 has it, and nothing newer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
import trio
from server_process import ServerProcess

pytestmark = pytest.mark.filterwarnings(
    # streams that are left early leave generators of the HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

SECONDS = 40
REVISION = "2024-11-05"


class OldClient:
    """One stream, on which everything comes, and the address that it named, to which everything is posted."""

    def __init__(
        self, http: httpx2.AsyncClient, events: AsyncIterator[tuple[str, str]], address: str
    ) -> None:
        self._http = http
        self._events = events
        self.address = address
        self._count = 0
        self.notifications: list[dict[str, Any]] = []

    async def notify(self, method: str, **params: Any) -> None:
        await self.post({"jsonrpc": "2.0", "method": method, "params": params})

    async def send(self, method: str, **params: Any) -> int:
        """The id of the request."""
        self._count += 1
        await self.post({"jsonrpc": "2.0", "id": self._count, "method": method, "params": params})
        return self._count

    async def post(self, message: dict[str, Any]) -> None:
        answered = await self._http.post(self.address, json=message)
        assert answered.status_code == 202, answered.text

    async def message(self) -> dict[str, Any]:
        """The next one on the stream."""
        kind, data = await anext(self._events)
        assert kind == "message"
        told = json.loads(data)
        assert isinstance(told, dict)
        return told

    async def answer(self, number: int) -> Any:
        """The result of a request; what comes before it is kept."""
        while "result" not in (told := await self.message()) or told["id"] != number:
            assert "error" not in told, told
            self.notifications.append(told)
        return told["result"]

    async def request(self, method: str, **params: Any) -> Any:
        return await self.answer(await self.send(method, **params))

    async def run_js(self, code: str, **arguments: Any) -> str:
        called = await self.request("tools/call", name="run_js", arguments={"code": code, **arguments})
        told = called["content"][0]["text"]
        assert isinstance(told, str)
        return told


async def _events(response: httpx2.Response) -> AsyncGenerator[tuple[str, str], None]:
    """Type and data of each event."""
    kind, data = "message", ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            data = line[6:]
        elif not line and data:
            yield kind, data
            kind, data = "message", ""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[OldClient]:
    """A client that has shaken hands."""
    with trio.fail_after(SECONDS):
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(httpx2.AsyncClient(timeout=SECONDS))
            response = await stack.enter_async_context(http.stream("GET", url))
            assert response.headers["content-type"].startswith("text/event-stream")
            events = await stack.enter_async_context(aclosing(_events(response)))
            kind, address = await anext(events)
            assert kind == "endpoint"
            client = OldClient(http, events, urljoin(url, address))
            told = await client.request(
                "initialize",
                protocolVersion=REVISION,
                capabilities={},
                clientInfo={"name": "old", "version": "1"},
            )
            assert told["protocolVersion"] == REVISION
            await client.notify("notifications/initialized")
            yield client


@pytest.fixture
def url(product: ServerProcess) -> str:
    return f"{product.url}/sse"


async def test_it_lists_tools_and_runs_code_in_the_session_that_its_address_names(url: str) -> None:
    async with connected(f"{url}?session=old") as client:
        assert await client.request("ping") == {}
        listed = {tool["name"] for tool in (await client.request("tools/list"))["tools"]}
        assert {"run_js", "get_execution_output", "cancel_execution"} <= listed
        assert await client.run_js("let n = 1; n + 2") == "=> 3\n[old@1]"
    async with connected(f"{url}?session=old") as client:
        assert await client.run_js("n") == "=> 1\n[old@2]"


async def test_its_stream_has_a_session_of_its_own(url: str) -> None:
    async with connected(url) as one, connected(url) as two:
        handle = (await one.run_js("var n = 1")).splitlines()[-1]
        assert (await two.run_js("typeof n")).startswith("=> 'undefined'")
        assert await one.run_js("n") == f"=> 1\n{handle.replace('@1]', '@2]')}"


async def test_it_hears_the_console_before_the_result(url: str) -> None:
    async with connected(f"{url}?session=old-console") as client:
        assert await client.run_js("console.log('hello'); 1") == "hello\n=> 1\n[old-console@1]"
        (told,) = client.notifications
    assert told["method"] == "notifications/message"
    assert told["params"]["data"] == "hello"


async def test_it_cancels_what_runs(url: str) -> None:
    async with connected(f"{url}?session=old-cancel") as client:
        arguments = {"code": "var n = 1; console.log('on its way'); for (;;);"}
        number = await client.send("tools/call", name="run_js", arguments=arguments)
        assert (await client.message())["params"]["data"] == "on its way"
        await client.notify("notifications/cancelled", requestId=number)
        assert await client.run_js("typeof n") == "=> 'undefined'\n[old-cancel@2]"


async def test_what_it_began_goes_on_when_its_stream_breaks(url: str) -> None:
    async with connected(f"{url}?session=old-gone") as client:
        code = "console.log('begun'); await new Promise(go => setTimeout(go, 500)); var n = 1"
        await client.send("tools/call", name="run_js", arguments={"code": code})
        assert (await client.message())["params"]["data"] == "begun"
    async with connected(f"{url}?session=old-gone") as client:
        assert await client.run_js("n") == "=> 1\n[old-gone@2]"


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b'{"jsonrpc": "2.0"}', 400), (b"x" * (5 << 20), 413)],
    ids=["half", "list", "empty", "long"],
)
async def test_a_message_that_is_none_is_refused_and_the_next_one_works(
    url: str, body: bytes, status: int
) -> None:
    async with connected(url) as client, httpx2.AsyncClient(timeout=SECONDS) as http:
        refused = await http.post(client.address, content=body, headers={"content-type": "application/json"})
        assert refused.status_code == status
        assert (await client.run_js("1 + 2")).startswith("=> 3\n")
