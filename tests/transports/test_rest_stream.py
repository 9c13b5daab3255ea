"""Executions as server-sent events."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx2
import pytest
import trio
import trio.testing
from in_process import response
from rest_client import begin, refused, run, server_events, told
from server_process import ServerProcess, running

from engine.errors import StoreFailed, Unavailable
from engine.events import Caller, Line
from engine.execution import Execution, Report
from transports.rest import stream

THREE = "console.log('a\\nb'); console.warn('c'); console.error('d')"


def path(execution: str) -> str:
    return f"/api/executions/{execution}/events"


def test_a_stream_tells_each_line_with_its_level_and_then_the_outcome(
    client: httpx2.Client, name: str
) -> None:
    answer = run(client, THREE, name)
    with client.stream("GET", path(answer["execution_id"])) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        events = list(server_events(response.iter_lines()))
    assert [(event.id, event.name) for event in events] == [
        ("1", "console"),
        ("2", "console"),
        ("3", "console"),
        ("done", "done"),
    ]
    assert events[0].data == {"line": 1, "level": "log", "text": "a\nb", "provisional": False}
    assert [event.data["level"] for event in events[:3]] == ["log", "warn", "error"]
    assert events[3].data == answer


def test_lines_come_while_the_code_runs_marked_provisional(client: httpx2.Client, name: str) -> None:
    running = begin(client, "console.log('begun'); for (;;);", name)
    with client.stream("GET", path(running)) as response:
        events = server_events(response.iter_lines())
        assert next(events).data == {"line": 1, "level": "log", "text": "begun", "provisional": True}
        assert told(client.get(f"/api/executions/{running}"))["status"] == "running"
        client.post(f"/api/executions/{running}/cancel")
        last = next(events)
        assert (last.name, last.data["status"]) == ("done", "cancelled")
        assert list(events) == []


def test_a_stream_goes_on_after_the_last_event_seen(client: httpx2.Client, name: str) -> None:
    execution = run(client, THREE, name)["execution_id"]
    with client.stream("GET", path(execution), headers={"last-event-id": "2"}) as response:
        events = list(server_events(response.iter_lines()))
    assert [event.id for event in events] == ["3", "done"]


def test_after_the_last_event_there_is_nothing_more(client: httpx2.Client, name: str) -> None:
    execution = run(client, THREE, name)["execution_id"]
    response = client.get(path(execution), headers={"last-event-id": "done"})
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 40, "done2"])
def test_an_event_id_of_no_event_is_a_400(client: httpx2.Client, name: str, last: str) -> None:
    execution = run(client, "1", name)["execution_id"]
    response = client.get(path(execution), headers={"last-event-id": last})
    refused(response, 400, "invalid_field", "Last-Event-ID")


def test_query_parameters_of_a_stream_are_refused(client: httpx2.Client, name: str) -> None:
    execution = run(client, "1", name)["execution_id"]
    refused(client.get(f"{path(execution)}?after=1"), 400, "invalid_field", "after")


def test_head_of_a_stream_has_its_headers_and_no_body(client: httpx2.Client, name: str) -> None:
    execution = run(client, THREE, name)["execution_id"]
    response = client.head(path(execution))
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].startswith("text/event-stream")


def test_guest_text_cannot_make_events_of_its_own(client: httpx2.Client, name: str) -> None:
    code = r"console.log('x\n\nevent: done\ndata: {}\n\n'); console.log('\r\rid: 9')"
    execution = run(client, code, name)["execution_id"]
    with client.stream("GET", path(execution)) as response:
        events = list(server_events(response.iter_lines()))
    assert [event.id for event in events] == ["1", "2", "done"]
    assert events[0].data["text"] == "x\n\nevent: done\ndata: {}\n\n"


async def test_a_reader_that_stops_reading_holds_up_nobody(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    code = "for (let i = 0; i < 9000; i++) console.log('x'.repeat(100)); 'over'"
    execution = run(client, code, name)["execution_id"]
    request = f"GET {path(execution)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with trio.fail_after(20):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as slow:
            await slow.send_all(request)
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as other:
                await other.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await response(other)).startswith(b"HTTP/1.1 200 ")
    assert run(client, "2", name)["result"] == "2"


def test_a_stream_of_before_a_restart_goes_on_after_it(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server, httpx2.Client(base_url=server.url) as client:
        answer = run(client, THREE, "kept")
        server.terminate(signal.SIGKILL)
    with running("--directory-path", str(tmp_path)) as server, httpx2.Client(base_url=server.url) as client:
        page = told(client.get(f"/api/executions/{answer['execution_id']}/output"))
        assert page["data"] == answer["output"]
        with client.stream("GET", path(answer["execution_id"]), headers={"last-event-id": "1"}) as response:
            events = list(server_events(response.iter_lines()))
    assert [event.id for event in events] == ["2", "3", "done"]
    assert events[-1].data == answer


def test_a_server_that_stops_tells_the_end_before_it_goes(tmp_path: Path) -> None:
    flags = ("--directory-path", str(tmp_path), "--execution-timeout", "1")
    with running(*flags) as server, httpx2.Client(base_url=server.url) as client:
        execution = begin(client, "console.log('begun'); for (;;);", "stopped")
        with client.stream("GET", path(execution)) as response:
            events = server_events(response.iter_lines())
            assert next(events).data["text"] == "begun"
            server.process.terminate()
            assert next(events).data["status"] == "timed_out"
        assert server.wait() == 0


class Client:
    """The client's end of an ASGI request."""

    def __init__(self, execution: str = "e_0000000000000000") -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "path": path(execution),
            "query_string": b"",
            "headers": [],
        }
        self.gone = trio.Event()
        self.status = 0
        self.data = b""
        self.got = trio.Event()

    async def receive(self) -> dict[str, object]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, object]) -> None:
        await trio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            self.status = message["status"]  # type: ignore[assignment]
        else:
            self.data += message["body"]  # type: ignore[operator]
            self.got.set()


class Engine:
    """An engine with one execution."""

    def __init__(self) -> None:
        self.one = Execution("e_0000000000000000", "local", caller=Caller(transport="test"), accepted_at=0)
        self.executions = self

    async def find(self, owner: str, execution_id: str) -> Execution:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        return self.one


async def test_silence_is_broken_by_a_comment(autojump_clock: trio.testing.MockClock) -> None:  # noqa: ARG001
    engine, client = Engine(), Client()
    door = stream.EventsDoor(engine)  # type: ignore[arg-type]
    with trio.fail_after(1_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door, client.scope, client.receive, client.send)
            await trio.sleep(stream.KEEP_ALIVE_SECONDS * 2.5)
            engine.one.emit((Line("log", "x"),))
            await trio.sleep(1)
            assert client.data.count(b": still running\n\n") == 2
            assert client.data.endswith(b'"text":"x","provisional":true}\n\n')
            client.gone.set()
    assert len(door.places) == 0


async def test_a_client_that_leaves_ends_its_stream_and_nothing_else() -> None:
    engine, client = Engine(), Client()
    door = stream.EventsDoor(engine)  # type: ignore[arg-type]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door, client.scope, client.receive, client.send)
            await client.got.wait()
            assert len(door.places) == 1
            client.gone.set()
    assert len(door.places) == 0
    assert not engine.one.done
    assert not engine.one.cancel_requested


async def test_streams_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_STREAMS", 1)
    engine, first, second = Engine(), Client(), Client()
    door = stream.EventsDoor(engine)  # type: ignore[arg-type]
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door, first.scope, first.receive, first.send)
            await first.got.wait()
            await door(second.scope, second.receive, second.send)
            assert second.status == 429
            assert b'"code":"busy"' in second.data
            first.gone.set()


async def test_an_execution_that_could_not_be_recorded_ends_in_a_failure() -> None:
    engine, client = Engine(), Client()
    engine.one.fail(StoreFailed("the disk is full"))
    with trio.fail_after(20):
        await stream.EventsDoor(engine)(client.scope, client.receive, client.send)  # type: ignore[arg-type]
    assert client.status == 200
    assert b'event: failure\ndata: {"error":"the disk is full","code":"store_failed"' in client.data


async def test_json_of_several_lines_is_in_one_event() -> None:
    engine, client = Engine(), Client()
    report = {"execution_id": engine.one.id, "session": "demo", "status": "completed"}
    engine.one.finish(Report(**report, result_json="[1,\r\n\n 2]"))  # type: ignore[arg-type]
    with trio.fail_after(20):
        await stream.EventsDoor(engine)(client.scope, client.receive, client.send)  # type: ignore[arg-type]
    (last,) = server_events(iter(client.data.decode().split("\n")[2:]))
    assert last.data["result_json"] == [1, 2]


async def test_who_follow_the_same_old_execution_share_what_was_read_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Log(Engine):
        """Reads the execution anew for whoever asks, as the log is read."""

        async def find(self, owner: str, execution_id: str) -> Execution:
            one = Execution(execution_id, owner, caller=Caller(transport="test"), accepted_at=0)
            one.fail(Unavailable("it is over"))
            return one

    followed: list[Execution] = []

    async def follow(execution: Execution, *_: object) -> None:
        followed.append(execution)
        await trio.sleep_forever()

    monkeypatch.setattr(stream, "_stream", follow)
    door = stream.EventsDoor(Log())  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            client = Client()
            nursery.start_soon(door, client.scope, client.receive, client.send)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(followed) == 3
    assert len({id(one) for one in followed}) == 1
