"""Flags about limits do what they say, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from server_process import running

FLAGS = {
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
    assert (refusal.status_code, refusal.json()["error"]) == (413, "the body is over 20,000 bytes")


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
