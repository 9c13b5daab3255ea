"""A client whose connection broke gets what it missed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
import trio
import trio.testing
from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCNotification, JSONRPCResponse
from server_process import ServerProcess

from transports.mcp import resumption
from transports.mcp.resumption import Budget, StreamLog

HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
CODE = "console.log('one'); await new Promise(done => setTimeout(done, 600)); console.log('two'); 'over'"


def message(method: str, id: int | None = 1, **params: Any) -> dict[str, Any]:
    identity = {} if id is None else {"id": id}
    return {"jsonrpc": "2.0", "method": method, "params": params, **identity}


class Peer:
    """A client of 2025-11-25 by hand."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http
        hello = message(
            "initialize",
            protocolVersion="2025-11-25",
            capabilities={},
            clientInfo={"name": "by hand", "version": "1"},
        )
        opened = http.post("/mcp", json=hello, headers=HEADERS)
        self.headers = {
            **HEADERS,
            "mcp-session-id": opened.headers["mcp-session-id"],
            "mcp-protocol-version": "2025-11-25",
        }
        http.post("/mcp", json=message("notifications/initialized", None), headers=self.headers)

    def call(self) -> Any:
        """A stream with the call of CODE."""
        asked = message(
            "tools/call", 5, name="run_js", arguments={"code": CODE}, _meta={"progressToken": "p"}
        )
        return self.http.stream("POST", "/mcp", json=asked, headers=self.headers)

    def resume(self, last: str) -> list[tuple[str, dict[str, Any]]]:
        """The events after ``last``, to the end of the stream."""
        headers = {**self.headers, "last-event-id": last}
        with self.http.stream("GET", "/mcp", headers=headers) as response:
            assert response.status_code == 200
            return [(name, told) for name, told in events(response) if told]


def events(response: httpx2.Response) -> Any:
    """Id and message of each event of a stream."""
    name = ""
    for line in response.iter_lines():
        if line.startswith("id: "):
            name = line[4:]
        elif line.startswith("data:"):
            data = line[5:].strip()
            yield name, json.loads(data) if data else {}


@pytest.fixture
def peer(server: ServerProcess) -> Any:
    with httpx2.Client(base_url=server.url, timeout=40) as http:
        yield Peer(http)


def test_a_stream_that_broke_while_code_runs_goes_on_with_the_rest_and_the_result(peer: Peer) -> None:
    with peer.call() as response:
        stream = events(response)
        first, nothing = next(stream)
        assert (first != "", nothing) == (True, {})
        at, told = next(stream)
        while told["method"] != "notifications/progress":
            at, told = next(stream)
    missed = [told for _, told in peer.resume(at)]
    assert [told["params"]["message"] for told in missed if told.get("method", "").endswith("progress")] == [
        "two"
    ]
    assert missed[-1]["id"] == 5
    assert missed[-1]["result"]["content"][0]["text"].startswith("one\ntwo\n=> 'over'")


def test_a_result_that_was_sent_can_be_had_again_and_ends_the_stream(peer: Peer) -> None:
    with peer.call() as response:
        (first, _), *_, (last, told) = events(response)
    assert told["id"] == 5
    assert peer.resume(first)[-1] == (last, told)
    assert peer.resume(last) == []


@pytest.mark.parametrize("unknown", ["0", "999", "x", "-1", "1" * 300])
def test_an_event_that_is_not_known_gives_an_empty_stream(peer: Peer, unknown: str) -> None:
    assert peer.resume(unknown) == []


def test_sessions_do_not_see_each_others_streams(server: ServerProcess, peer: Peer) -> None:
    with httpx2.Client(base_url=server.url, timeout=40) as http:
        other = Peer(http)
        with peer.call() as response:
            (first, _), *_ = events(response)
        assert all(told.get("id") != 5 for _, told in other.resume(first))


def notification(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": text})


def into(told: list[str]) -> Callable[[EventMessage], Awaitable[None]]:
    async def take(event: EventMessage) -> None:
        assert event.event_id is not None
        told.append(event.event_id)

    return take


async def test_a_replay_misses_nothing_that_is_sent_meanwhile(autojump_clock: trio.abc.Clock) -> None:  # noqa: ARG001
    log = StreamLog(Budget())
    begun = await log.store_event("7", None)
    told: list[str] = []

    async def slow(event: EventMessage) -> None:
        assert event.event_id is not None
        told.append(event.event_id)
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.replay_events_after, begun, slow)
        for text in "abc":
            await log.store_event("7", notification(text))
            await log.store_event("8", notification("of another stream"))
            await trio.sleep(0.3)
        await log.store_event("7", JSONRPCResponse(jsonrpc="2.0", id=7, result={}))
    assert told == ["2", "4", "6", "8"]


async def test_only_so_many_messages_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "MAX_EVENTS", 3)
    log = StreamLog(Budget())
    for _ in range(5):
        await log.store_event("7", notification("x"))
    await log.store_event("7", JSONRPCResponse(jsonrpc="2.0", id=7, result={}))
    forgotten: list[str] = []
    await log.replay_events_after("2", into(forgotten))
    known: list[str] = []
    await log.replay_events_after("4", into(known))
    assert (forgotten, known) == ([], ["5", "6"])


async def test_all_sessions_share_a_budget_which_the_end_of_one_gives_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resumption, "MAX_ALL_BYTES", 10_000)
    monkeypatch.setattr(resumption, "LEAST_BYTES", 1_000)
    budget = Budget()
    logs = [StreamLog(budget) for _ in range(20)]
    for _ in range(10):
        for log in logs:
            await log.store_event("7", notification("x" * 500))
    assert budget.used <= 10_000 + 20 * 1_000
    for log in logs:
        log.close()
    assert budget.used == 0


async def test_the_end_of_a_session_ends_its_replays() -> None:
    log = StreamLog(Budget())
    begun = await log.store_event("7", None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.replay_events_after, begun, into([]))
        await trio.testing.wait_all_tasks_blocked()
        log.close()
