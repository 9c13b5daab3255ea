"""Flags about limits do what they say, on a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from server_process import running

FLAGS = {
    "--max-cpu-seconds": 2,
    "--max-code-bytes": 200,
    "--max-input-chars": 10,
    "--max-console-bytes": 1_024,
    "--max-result-chars": 300,
    "--max-timers": 3,
    "--max-clock-reads": 5,
    "--max-offheap-memory": 8,
    "--max-body-bytes": 20_000,
    "--max-answer-console-bytes": 500,
    "--max-mcp-chars": 4_000,
    "--max-queue": 2,
    "--max-executions": 4,
    "--max-session-events": 3,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    flags = [str(word) for flag in FLAGS.items() for word in flag]
    directory = str(tmp_path_factory.mktemp("store"))
    with (
        running("--directory-path", directory, *flags) as process,
        httpx2.Client(base_url=process.url, timeout=30) as client,
    ):
        yield client


def execute(client: httpx2.Client, code: str, **fields: object) -> httpx2.Response:
    return client.post("/api/exec", json={"code": code, **fields})


def test_longer_code_and_input_are_refused(server: httpx2.Client) -> None:
    refusal = execute(server, "1" * 201)
    assert (refusal.status_code, refusal.json()["field"]) == (413, "code")
    refusal = execute(server, "1", input="x" * 20)
    assert (refusal.status_code, refusal.json()["field"]) == (413, "input")


def test_console_and_result_are_cut(server: httpx2.Client) -> None:
    answer = execute(server, "for (let i = 0; i < 100; i++) console.log('x'.repeat(90)); 'y'.repeat(900)")
    answer = answer.json()
    assert answer["output_truncated"]
    assert 400 < len(answer["output"]) <= 500
    page = server.get(f"/api/executions/{answer['execution_id']}/output").json()
    assert 600 < page["total_bytes"] <= 1_024
    assert len(answer["result"]) <= 400
    assert answer["result_json"] is None


@pytest.mark.parametrize("path", ["/api/exec", "/mcp", "/api/sessions/x/fork"])
def test_a_longer_body_is_refused(server: httpx2.Client, path: str) -> None:
    refusal = server.post(path, content=b"x" * 20_001, headers={"content-type": "application/json"})
    error = refusal.json()["error"]
    sentence = error["message"] if path == "/mcp" else error  # there it is a JSON-RPC error
    assert (refusal.status_code, sentence) == (413, "the body is over 20,000 bytes")


def test_models_are_told_how_long_a_text_may_be(server: httpx2.Client) -> None:
    headers = {"accept": "application/json, text/event-stream"}

    def ask(method: str, **params: object) -> httpx2.Response:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = server.post("/mcp", json=asked, headers=headers)
        if (session := answer.headers.get("mcp-session-id")) is not None:
            headers["mcp-session-id"] = session
        return answer

    ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "t", "version": "1"})
    assert "output past 4,000 characters is cut" in ask("tools/list").text


def test_timers_and_clock_are_counted(server: httpx2.Client) -> None:
    answer = execute(server, "for (let i = 0; i < 4; i++) setTimeout(() => {}, 1e6)").json()
    assert (answer["status"], "timers" in answer["error"]) == ("failed", True)
    changes = (
        "let n = 0, last; while (n < 9) { const now = performance.now(); if (now !== last) n++; last = now }"
    )
    answer = execute(server, changes).json()
    assert (answer["status"], "clock" in answer["error"]) == ("failed", True)


def test_cpu_time_is_limited_beside_time(server: httpx2.Client) -> None:
    answer = execute(server, "for (;;);", execution_timeout_secs=60).json()
    assert (answer["status"], answer["error"]) == ("timed_out", "TimedOut: timed out after 2 s of CPU time")


def test_more_memory_outside_of_the_heap_is_not_given(server: httpx2.Client) -> None:
    assert execute(server, "new ArrayBuffer(4e6).byteLength").json()["result"] == "4000000"
    answer = execute(server, "new ArrayBuffer(300e6)").json()
    assert (answer["status"], "8 MB of buffers" in answer["error"]) == ("out_of_memory", True)


def test_a_session_takes_no_more_events(server: httpx2.Client) -> None:
    codes = [execute(server, "1", session="short").status_code for _ in range(3)]
    assert codes == [200, 200, 409]


def test_queues_are_bounded(server: httpx2.Client) -> None:
    at_once = {"prefer": "respond-async"}
    loop = {"code": "for (;;);", "session": "q"}
    asked = [server.post("/api/exec", json=loop, headers=at_once) for _ in range(5)]
    refused = [answer for answer in asked if answer.status_code == 429]
    assert refused
    assert all(answer.json()["code"] == "busy" for answer in refused)
    for answer in asked:
        if answer.status_code == 202:
            server.post(f"{answer.headers['location']}/cancel")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A server with low maxima, and room for little."""
    flags = {
        "--max-execution-timeout": 2,
        "--heap-memory-max": 32,
        "--max-owner-sessions": 2,
        "--max-store-mb": 2,
    }
    words = [str(word) for flag in flags.items() for word in flag]
    directory = str(tmp_path_factory.mktemp("store"))
    with (
        running("--directory-path", directory, *words) as process,
        httpx2.Client(base_url=process.url, timeout=30) as client,
    ):
        yield client


def test_a_request_for_more_time_gets_the_maximum(small: httpx2.Client) -> None:
    answer = execute(small, "for (;;);", session="a", execution_timeout_secs=3_600).json()
    assert (answer["status"], answer["error"]) == ("timed_out", "TimedOut: timed out after 2 s")


def test_a_request_for_more_memory_gets_the_maximum(small: httpx2.Client) -> None:
    fill = "const all = []; for (;;) all.push(new Array(1e6).fill(1.5))"
    answer = execute(small, fill, session="a", heap_memory_max_mb=4_096).json()
    assert answer["status"] == "out_of_memory"
    assert "32 MB" in answer["error"]


def test_a_request_for_a_larger_page_gets_the_largest(small: httpx2.Client) -> None:
    answer = execute(small, "for (let i = 0; i < 900; i++) console.log('x'.repeat(99))", session="a").json()
    output = f"/api/executions/{answer['execution_id']}/output"
    page = small.get(output, params={"byte_limit": 10**9, "line_limit": 10**9}).json()
    assert len(page["data"]) == 64_000
    assert page["has_more"]
    for path in ("/api/executions", "/api/sessions", "/api/sessions/a/events"):
        assert small.get(path, params={"limit": 10**9}).status_code == 200


@pytest.mark.parametrize("field", ["execution_timeout_secs", "heap_memory_max_mb"])
def test_a_request_for_next_to_nothing_gets_the_least(small: httpx2.Client, field: str) -> None:
    least = {"execution_timeout_secs": 0.0001, "heap_memory_max_mb": 1}[field]
    assert execute(small, "1", session="a", **{field: least}).status_code == 200


def test_a_longer_wait_is_cut_to_the_longest(small: httpx2.Client) -> None:
    headers = {"prefer": "wait=100000"}
    answer = small.post("/api/exec", json={"code": "1", "session": "a"}, headers=headers)
    assert answer.headers["preference-applied"] == "wait=300"
    done = f"/api/executions/{answer.json()['execution_id']}"
    assert small.get(done, params={"wait": 100_000}).json()["status"] == "completed"


def test_an_owner_with_all_sessions_deletes_one_to_make_another(small: httpx2.Client) -> None:
    for name in ("a", "b"):
        execute(small, "1", session=name)
    refusal = execute(small, "1")
    assert (refusal.status_code, refusal.json()["code"]) == (409, "too_many_sessions")
    assert "retry-after" not in refusal.headers
    assert "delete some" in refusal.json()["error"]
    at_once = small.post("/api/exec", json={"code": "1"}, headers={"prefer": "respond-async"})
    assert at_once.status_code == 409
    assert small.post("/api/sessions/a/fork", json={}).json()["code"] == "too_many_sessions"
    small.delete("/api/sessions/b")
    assert execute(small, "1", session="c").status_code == 200
    small.delete("/api/sessions/c")


def test_a_full_store_can_be_read_and_made_room_in(small: httpx2.Client) -> None:
    flood = "for (let i = 0; i < 900; i++) console.log('x'.repeat(999))"
    while (answer := execute(small, flood, session="full")).status_code == 200:
        assert answer.json()["status"] == "completed"
    assert (answer.status_code, answer.json()["code"]) == (507, "store_full")
    assert "--max-store-mb" in answer.json()["error"]
    for path, body in {
        "/api/exec": {"code": "1"},
        "/api/sessions/full/fork": {},
        "/api/sessions/full/accept": None,
    }.items():
        assert small.post(path, json=body).status_code == 507, path
    assert small.put("/api/sessions/full/tags", json={"tags": {"a": "b"}}).status_code == 507
    ready = small.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["store_bytes"] >= ready.json()["max_store_bytes"] == 2 << 20
    metrics = small.get("/metrics").text
    assert "mcp_v8_store_max_bytes 2.097152e+06" in metrics
    assert len(small.get("/api/sessions/full/events").json()["events"]) > 2
    assert small.delete("/api/sessions/full").status_code == 200
    while small.get("/readyz").json()["store_bytes"] > 1 << 20:  # what it left behind is being removed
        pass
    assert execute(small, "1", session="a").status_code == 200


def test_a_connection_too_many_is_refused(tmp_path: Path) -> None:
    with (
        running("--directory-path", str(tmp_path), "--max-connections", "1") as process,
        httpx2.Client(base_url=process.url) as first,
        httpx2.Client(base_url=process.url) as second,
    ):
        assert first.get("/healthz").status_code == 200
        refusal = second.get("/healthz")
        assert (refusal.status_code, refusal.json()["code"]) == (503, "busy")


@pytest.mark.parametrize(
    "request_line", ["GET /api/executions/{id}?wait=300 HTTP/1.1", "POST /api/exec?session=a HTTP/1.1"]
)
def test_a_client_that_leaves_while_it_waits_has_no_connection_any_more(
    tmp_path: Path, request_line: str
) -> None:
    with running("--directory-path", str(tmp_path), "--max-connections", "1") as process:
        with httpx2.Client(base_url=process.url) as client:
            endless = {"code": "for (;;);", "session": "a", "execution_timeout_secs": 300}
            begun = client.post("/api/exec", json=endless, headers={"prefer": "respond-async"}).json()
        until_served(process.url)
        with socket.create_connection(("127.0.0.1", httpx2.URL(process.url).port)) as leaving:
            line = request_line.format(id=begun["execution_id"])
            leaving.sendall(f"{line}\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1".encode())
        until_served(process.url)


def until_served(url: str) -> None:
    """Until there is a connection to be had; a test's time ends before a wait of a client would."""
    while True:
        with httpx2.Client(base_url=url) as client:
            if client.get("/healthz").status_code == 200:
                return
