"""A client written for the Rust mcp-v8: 202, then poll, then read the console."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from rest_client import refused, told
from server_process import running

POLLS = 200


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    store = str(tmp_path_factory.mktemp("store"))
    with (
        running("--exec-async", "--directory-path", store) as server,
        httpx2.Client(base_url=server.url, timeout=40) as client,
    ):
        yield client


def poll(client: httpx2.Client, execution: str) -> dict[str, object]:
    """Until it is over; at each time what their client insists on is there."""
    for _ in range(POLLS):
        answer = told(client.get(f"/api/executions/{execution}"))
        assert answer["execution_id"] == execution
        assert isinstance(answer["started_at"], str)
        assert {"result", "error", "heap", "completed_at"} <= set(answer)
        if answer["status"] != "running":
            return answer
        client.get(f"/api/executions/{execution}", params={"wait": 0.1})
    raise AssertionError("it is still running")


def test_submit_poll_and_read(upstream: httpx2.Client) -> None:
    accepted = upstream.post("/api/exec", json={"code": "console.log('hello'); 1 + 1"})
    assert accepted.status_code == 202
    execution = accepted.json()["execution_id"]
    answer = poll(upstream, execution)
    assert (answer["status"], answer["result"], answer["error"]) == ("completed", "2", None)
    assert isinstance(answer["completed_at"], str)
    page = told(upstream.get(f"/api/executions/{execution}/output"))
    assert page["data"] == "hello\n"
    numbers = {name: kind for name, kind in page.items() if name.endswith(("_line", "_byte", "_offset", "s"))}
    numbers.pop("status")
    assert set(numbers) == {
        "start_line",
        "end_line",
        "next_line_offset",
        "total_lines",
        "start_byte",
        "end_byte",
        "next_byte_offset",
        "total_bytes",
    }
    assert all(isinstance(number, int) for number in numbers.values()), "theirs are never null"
    assert page["has_more"] is False
    assert {"execution_id", "status"} <= set(page)


def test_a_script_is_uploaded_as_it_is(upstream: httpx2.Client) -> None:
    accepted = upstream.post(
        "/api/exec?session=upload&heap_memory_max_mb=64",
        content="let y = 20; y + 2",
        headers={"content-type": "application/javascript"},
    )
    assert accepted.status_code == 202
    assert poll(upstream, accepted.json()["execution_id"])["result"] == "22"


def test_a_failure_has_an_error_that_is_a_string(upstream: httpx2.Client) -> None:
    accepted = upstream.post("/api/exec", json={"code": "null.x"})
    answer = poll(upstream, accepted.json()["execution_id"])
    assert answer["status"] == "failed"
    assert isinstance(answer["error"], str)


def test_output_is_paged_by_following_the_offsets(upstream: httpx2.Client) -> None:
    code = "for (let i = 1; i <= 250; i++) console.log(i)"
    execution = upstream.post("/api/exec", json={"code": code}).json()["execution_id"]
    poll(upstream, execution)
    data, offset = "", 0
    while True:
        query = {"line_offset": offset, "line_limit": 100}
        page = told(upstream.get(f"/api/executions/{execution}/output", params=query))
        data += page["data"]
        if not page["has_more"]:
            break
        offset = page["next_line_offset"]
    assert data.split() == [str(number) for number in range(1, 251)]


def test_cancel_says_ok(upstream: httpx2.Client) -> None:
    execution = upstream.post("/api/exec", json={"code": "while (true) {}"}).json()["execution_id"]
    assert told(upstream.post(f"/api/executions/{execution}/cancel"))["ok"] is True
    assert poll(upstream, execution)["status"] == "cancelled"
    assert told(upstream.post(f"/api/executions/{execution}/cancel"))["ok"] is False


def test_the_list_has_what_their_client_prints(upstream: httpx2.Client) -> None:
    execution = upstream.post("/api/exec", json={"code": "1"}).json()["execution_id"]
    poll(upstream, execution)
    listed = told(upstream.get("/api/executions"))["executions"]
    mine = next(one for one in listed if one["execution_id"] == execution)
    assert mine["status"] == "completed"
    assert isinstance(mine["started_at"], str)
    assert isinstance(mine["completed_at"], str)


def test_their_errors_have_a_sentence_under_error(upstream: httpx2.Client) -> None:
    refused(
        upstream.get("/api/executions/6b54786c-12f3-4a28-8504-6061be815c95"), 404, "not_found", "execution_id"
    )
    refused(upstream.post("/api/exec", json={}), 400, "invalid_field", "code")
