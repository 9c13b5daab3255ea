"""Answers in lines of JSON: a replay over REST, and how the door behaves that serves such answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import msgspec
import pytest
import trio
from broken_sessions import make_store
from rest_client import Json, refused, run
from server_process import running

from engine.errors import Busy
from transports.identity import SCOPE_KEY, Identity
from transports.rest import lines
from transports.rest.lines import LinesDoor
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd
from transports.rest.routes import LINES, Asked, Content, Route, Tell
from transports.settings import DEFAULTS

ANN = Identity("ann", "laptop", b"a")
Stream = Callable[[Asked[Any, Any], Tell], Awaitable[None]]


class Client:
    """One request to a door of lines, and what came of it so far."""

    def __init__(self, method: str = "GET", query: str = "") -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": "/count",
            "query_string": query.encode(),
            "headers": [],
            SCOPE_KEY: ANN,
        }
        self.sent: list[Any] = []
        self.progress = trio.Event()
        self._gone = trio.Event()
        self._asked = False

    async def receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(message)
        self.progress.set()

    def leave(self) -> None:
        self._gone.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])


def door_of(stream: Stream) -> LinesDoor:
    route = Route(
        name="count",
        method="GET",
        path="/count",
        group="sessions",
        summary="",
        view=None,
        stream=stream,
        answers={200: Content("", ReplayedEvent, media=LINES, last=ReplayEnd)},
    )
    return LinesDoor([route], DEFAULTS)


def line(event: int) -> ReplayedEvent:
    return ReplayedEvent(event=event, agrees=True)


async def asked(stream: Stream, **how: str) -> Client:
    client = Client(**how)
    with trio.fail_after(10):
        await door_of(stream)(client.scope, client.receive, client.send)
    return client


@pytest.mark.parametrize(
    ("error", "status", "code"), [(Busy("full"), 429, "busy"), (ZeroDivisionError(), 500, "internal")]
)
async def test_what_fails_before_the_first_line_is_the_answer_with_its_status(
    error: Exception, status: int, code: str
) -> None:
    async def fail(_asked: object, _tell: Tell) -> None:
        raise error

    client = await asked(fail)
    assert client.status == status
    assert msgspec.json.decode(client.body)["code"] == code


@pytest.mark.parametrize(("error", "code"), [(Busy("full"), "busy"), (ZeroDivisionError(), "internal")])
async def test_what_fails_after_it_is_the_last_line(error: Exception, code: str) -> None:
    async def fail(_asked: object, tell: Tell) -> None:
        await tell(line(1))
        raise error

    client = await asked(fail)
    assert client.status == 200
    first, last = client.body.splitlines()
    assert msgspec.json.decode(first, type=ReplayedEvent) == line(1)
    assert msgspec.json.decode(last)["code"] == code
    assert client.sent[-1]["more_body"] is False


async def test_silence_is_broken_by_empty_lines(autojump_clock: object) -> None:  # noqa: ARG001
    async def slow(_asked: object, tell: Tell) -> None:
        await tell(line(1))
        await trio.sleep(2.5 * lines.KEEP_ALIVE_SECONDS)
        await tell(line(2))
        await trio.sleep(0.9 * lines.KEEP_ALIVE_SECONDS)

    client = Client()
    await door_of(slow)(client.scope, client.receive, client.send)
    assert [part == b"" for part in client.body.split(b"\n")] == [False, True, True, False, True]


async def test_an_error_after_a_long_silence_is_a_line_too(autojump_clock: object) -> None:  # noqa: ARG001
    async def late(_asked: object, _tell: Tell) -> None:
        await trio.sleep(1.5 * lines.KEEP_ALIVE_SECONDS)
        raise Busy("full")

    client = Client()
    await door_of(late)(client.scope, client.receive, client.send)
    assert client.status == 200
    assert msgspec.json.decode(client.body.strip())["code"] == "busy"


async def test_a_client_that_leaves_ends_the_work_and_frees_its_place() -> None:
    ended = []

    async def endless(_asked: object, tell: Tell) -> None:
        try:
            await tell(line(1))
            await trio.sleep_forever()
        finally:
            ended.append(True)

    door, client = door_of(endless), Client()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door, client.scope, client.receive, client.send)
            await client.progress.wait()
            assert len(door.places) == 1
            client.leave()
    assert ended == [True]
    assert len(door.places) == 0


async def test_a_client_that_takes_nothing_for_long_is_taken_for_gone(autojump_clock: object) -> None:  # noqa: ARG001
    told = []

    async def many(_asked: object, tell: Tell) -> None:
        for event in range(10):
            await tell(line(event))
            told.append(event)

    class Stalled(Client):
        async def send(self, message: Any) -> None:
            if len(self.sent) == 3:
                await trio.sleep_forever()
            await super().send(message)

    door, client = door_of(many), Stalled()
    began = trio.current_time()
    await door(client.scope, client.receive, client.send)
    assert (told, len(door.places)) == ([0, 1], 0)
    assert trio.current_time() - began == pytest.approx(lines.STALLED_SECONDS)
    assert client.sent[-1]["more_body"] is True  # the answer is not complete


async def test_an_owner_gets_half_of_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_STREAMS", 2)

    async def endless(_asked: object, tell: Tell) -> None:
        await tell(line(1))
        await trio.sleep_forever()

    door, first, second = door_of(endless), Client(), Client()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door, first.scope, first.receive, first.send)
            await first.progress.wait()
            await door(second.scope, second.receive, second.send)
            first.leave()
    assert second.status == 429
    assert "1 answers in lines of yours are open already" in msgspec.json.decode(second.body)["error"]


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH"])
async def test_another_method_is_refused_with_those_that_there_are(method: str) -> None:
    async def never(_asked: object, _tell: Tell) -> None:
        raise AssertionError

    client = await asked(never, method=method)
    assert client.status == 405
    assert (b"allow", b"GET") in client.sent[0]["headers"]


async def test_a_wrong_parameter_is_refused() -> None:
    async def never(_asked: object, _tell: Tell) -> None:
        raise AssertionError

    client = await asked(never, query="x=1")
    assert (client.status, msgspec.json.decode(client.body)["field"]) == (400, "x")


# --- over a real server --------------------------------------------------------------------------


def replayed(client: httpx2.Client, session: str, **query: Any) -> list[Json]:
    response = client.get(f"/api/sessions/{session}/replay", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == LINES
    return [msgspec.json.decode(line) for line in response.content.splitlines() if line]


def test_a_replay_tells_of_each_event_then_what_it_came_to(client: httpx2.Client, name: str) -> None:
    for code in ("let n = 1", "n++", "n"):
        run(client, code, name)
    *events, end = replayed(client, name)
    assert [(one["type"], one["event"], one["agrees"]) for one in events] == [
        ("event", event, True) for event in (1, 2, 3)
    ]
    assert end == {
        "type": "end",
        "session": name,
        "event": 3,
        "executions": 3,
        "different": 0,
        "drift": 0,
        "failed_event": None,
        "agrees": True,
    }


def test_a_part_with_changes_is_told_of(client: httpx2.Client, name: str) -> None:
    for code in ("let n = 1", "n++", "n++"):
        run(client, code, name)
    event, end = replayed(client, name, first=2, last=2, changes="true")
    (changed,) = event["changes"]["changed"]
    assert (changed["before"]["preview"], changed["after"]["preview"]) == ("1", "2")
    assert (end["event"], end["executions"]) == (2, 1)


def test_what_there_is_not_is_not_replayed(client: httpx2.Client, name: str) -> None:
    refused(client.get(f"/api/sessions/{name}/replay"), 404, "not_found", "session")
    run(client, "1", name)
    path = f"/api/sessions/{name}/replay"
    refused(client.get(path, params={"last": 2}), 404, "not_found", "last")
    refused(client.get(path, params={"first": 2}), 400, "invalid_field", "first")
    refused(client.get(path, params={"first": "x"}), 400, "invalid_field", "first")
    refused(client.post(path), 405, "method_not_allowed")
    assert client.head(path).status_code == 405


def test_a_client_that_goes_away_in_the_middle_gives_its_place_to_the_next(
    client: httpx2.Client, name: str
) -> None:
    for _ in range(3):
        run(client, "for (const end = Date.now() + 300; Date.now() < end;);", name)
    with client.stream("GET", f"/api/sessions/{name}/replay") as response:
        first = next(response.iter_lines())
        assert msgspec.json.decode(first)["event"] == 1
    assert len(replayed(client, name)) == 4  # it would wait 45 s for the place of the first


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of a server with sessions that do not replay as they were recorded."""
    store = tmp_path_factory.mktemp("store")
    make_store(store)
    with (
        running("--directory-path", str(store)) as server,
        httpx2.Client(base_url=server.url, timeout=40) as client,
    ):
        yield client


def test_an_event_that_differs_says_in_what(broken: httpx2.Client) -> None:
    _, second, end = replayed(broken, "diverged")
    assert {
        key: second[key] for key in ("agrees", "field", "expected", "got", "drifted", "other_engine")
    } == {
        "agrees": False,
        "field": "result_json",
        "expected": "71",
        "got": "70",
        "drifted": False,
        "other_engine": True,
    }
    assert (end["agrees"], end["different"]) == (False, 1)


def test_an_event_that_ends_every_worker_is_named_by_the_last_line(broken: httpx2.Client) -> None:
    first, end = replayed(broken, "failed")
    assert (first["event"], end["failed_event"], end["agrees"]) == (1, 2, False)


@pytest.mark.parametrize(("strict", "agrees"), [("true", False), ("false", True)])
def test_another_engines_texts_have_to_agree_only_if_asked(
    broken: httpx2.Client, strict: str, *, agrees: bool
) -> None:
    event, end = replayed(broken, "drifted", strict=strict)
    assert (event["field"], event["expected"], event["got"]) == ("result", "seven", "7")
    assert (event["agrees"], event["drifted"], end["agrees"]) == (agrees, agrees, agrees)
    assert end["drift"] == int(agrees)
