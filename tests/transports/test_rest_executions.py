"""Executions over REST: lists, console pages, and their end."""

from __future__ import annotations

import httpx2
import pytest
from rest_client import begin, refused, run, told

UNKNOWN = "/api/executions/e_0000000000000000"
FOREVER = "console.log('begun'); for (;;);"


def ids(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [one["execution_id"] for one in answer["executions"]]


def test_executions_are_listed_newest_first_with_what_tells_them_apart(
    client: httpx2.Client, name: str
) -> None:
    first = run(client, "1 + 1", name)
    second = run(client, "\n  throw new TypeError('no')  \n", name)
    answer = told(client.get("/api/executions", params={"session": name}))
    assert ids(answer) == [second["execution_id"], first["execution_id"]]
    assert answer["next"] is None
    newest, oldest = answer["executions"]
    assert newest["status"] == "failed"
    assert newest["error"] == "TypeError: no"
    assert newest["code"] == "throw new TypeError('no')"
    assert (oldest["session"], oldest["event"], oldest["error"]) == (name, 1, None)
    assert oldest["started_at"] == first["started_at"]
    assert oldest["completed_at"] == first["completed_at"]
    assert oldest["duration_ms"] == pytest.approx(first["duration_ms"])


def test_pages_of_executions_together_are_the_whole_list(client: httpx2.Client, name: str) -> None:
    expected = [run(client, str(number), name)["execution_id"] for number in range(5)][::-1]
    seen: list[str] = []
    after: dict[str, str] = {}
    for _ in range(3):
        page = told(client.get("/api/executions", params={"session": name, "limit": 2, **after}))
        seen += ids(page)
        after = {"after": page["next"]}
    assert seen == expected
    assert page["next"] is None


def test_executions_can_be_asked_for_by_status(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    failed = run(client, "throw 1", name)
    answer = told(client.get("/api/executions", params={"session": name, "status": "failed"}))
    assert ids(answer) == [failed["execution_id"]]


def test_executions_can_be_searched_for(client: httpx2.Client, name: str) -> None:
    headers = {"user-agent": "seeker/1.0"}
    codes = ("let Needle = 1", "console.log('a needle'); 0", "'x'", "throw new Error('needle')")
    made = [
        told(client.post("/api/exec", json={"code": code, "session": name}, headers=headers))
        for code in codes
    ]
    made.append(run(client, "'needle'", name))

    def found(**query: object) -> list[int]:
        answer = told(client.get("/api/executions", params={"session": name, **query}))
        return [one["event"] for one in answer["executions"]]

    assert found(text="needle") == [5, 4, 2]
    assert found(text="NEEDLE", ignore_case=True) == [5, 4, 2, 1]
    assert found(text="needle", caller="seek") == [4, 2]
    assert found(text="needle", status="failed") == [4]
    assert found(since=made[2]["started_at"]) == [5, 4, 3]
    assert found(until=made[2]["started_at"]) == [2, 1]
    assert found(since="2026-01-01T00:00:00+01:00", until="2026-01-02T00:00:00Z") == []
    assert found(text="nowhere") == []


def test_executions_that_are_over_can_be_listed_with_their_events(client: httpx2.Client, name: str) -> None:
    run(client, "console.warn('seen'); 7", name)
    running = begin(client, FOREVER, name)
    answer = told(client.get("/api/executions", params={"session": name, "full": True}))
    under_way, over = answer["executions"]
    assert "recorded" not in under_way
    assert over["recorded"] == told(client.get(f"/api/sessions/{name}/events/1"))
    assert [
        one["execution_id"]
        for one in told(client.get("/api/executions", params={"session": name, "text": "forever"}))[
            "executions"
        ]
    ] == []
    assert ids(told(client.get("/api/executions", params={"session": name, "text": "for (;;)"}))) == [running]
    client.post(f"/api/executions/{running}/cancel")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("text=", "text"),
        (f"text={'x' * 1001}", "text"),
        ("since=yesterday", "since"),
        ("until=2026-01-01", "until"),
        ("since=2026-01-01T00:00:00", "since"),
        ("until=0.5", "until"),
        ("until=", "until"),
        ("caller=", "caller"),
        ("ignore_case=maybe", "ignore_case"),
        ("regex=a", "regex"),
    ],
)
def test_a_search_that_is_wrong_is_refused(client: httpx2.Client, query: str, field: str) -> None:
    refused(client.get(f"/api/executions?{query}"), 400, "invalid_field", field)


def test_one_that_runs_is_listed_first_and_can_be_stopped(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    running = begin(client, FOREVER, name)
    answer = told(client.get("/api/executions", params={"session": name}))
    assert ids(answer)[0] == running
    assert answer["executions"][0]["status"] == "running"
    assert answer["executions"][0]["completed_at"] is None
    stopped = client.post(f"/api/executions/{running}/cancel")
    assert stopped.status_code == 200
    assert (stopped.json()["ok"], stopped.json()["status"]) == (True, "cancelled")


def test_stopping_one_that_is_over_changes_nothing_and_says_so(client: httpx2.Client, name: str) -> None:
    over = run(client, "1", name)
    answer = told(client.post(f"/api/executions/{over['execution_id']}/cancel"))
    assert answer.pop("ok") is False
    assert answer == over


def test_a_console_is_read_by_lines_and_by_bytes(client: httpx2.Client, name: str) -> None:
    code = "console.log('one'); console.warn('zwei\\nédrei'); console.log('four')"
    path = f"/api/executions/{run(client, code, name)['execution_id']}/output"
    whole = told(client.get(path))
    assert whole["data"] == "one\nzwei\nédrei\nfour\n"
    assert (whole["start_line"], whole["end_line"], whole["total_lines"]) == (1, 4, 4)
    assert (whole["start_byte"], whole["end_byte"], whole["total_bytes"]) == (0, 21, 21)
    assert (whole["has_more"], whole["next_line_offset"], whole["next_byte_offset"]) == (False, 5, 21)
    assert whole["status"] == "completed"
    second = told(client.get(path, params={"line_offset": 2, "line_limit": 1}))
    assert (second["data"], second["next_line_offset"], second["has_more"]) == ("zwei\n", 3, True)
    third = told(client.get(path, params={"byte_offset": second["next_byte_offset"], "byte_limit": 7}))
    assert third["data"] == "édrei\n"
    assert told(client.get(path, params={"line_offset": 0}))["start_line"] == 1
    assert told(client.get(path, params={"line_offset": 99}))["data"] == ""


def test_following_the_offsets_gives_the_whole_console(client: httpx2.Client, name: str) -> None:
    code = "for (let i = 0; i < 3000; i++) console.log(i, 'x'.repeat(60))"
    answer = run(client, code, name)
    assert answer["output_truncated"] is True
    path = f"/api/executions/{answer['execution_id']}/output"
    data, line, pages, more = "", 1, 0, True
    while more:
        page = told(client.get(path, params={"line_offset": line}))
        assert len(page["data"].encode()) <= 64_000
        data += page["data"]
        line, more, pages = page["next_line_offset"], page["has_more"], pages + 1
    assert data == "".join(f"{i} {'x' * 60}\n" for i in range(3000))
    assert pages > 2


def test_a_console_can_be_read_while_the_code_runs(client: httpx2.Client, name: str) -> None:
    running = begin(client, FOREVER, name)
    path = f"/api/executions/{running}/output"
    for _ in range(200):
        page = told(client.get(path))
        if page["total_lines"]:
            break
        client.get(f"/api/executions/{running}", params={"wait": 0.05})
    assert (page["data"], page["status"], page["has_more"]) == ("begun\n", "running", False)
    assert (page["next_line_offset"], page["next_byte_offset"]) == (2, 6)
    client.post(f"/api/executions/{running}/cancel")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=1", "limit"),
        ("status=sleeping", "status"),
        ("session=a%20b", "session"),
        ("after=zzz", "after"),
        ("sesion=a", "sesion"),
    ],
)
def test_a_wrong_parameter_of_a_list_is_a_400_that_names_it(
    client: httpx2.Client, query: str, field: str
) -> None:
    refused(client.get(f"/api/executions?{query}"), 400, "invalid_field", field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("line_offset=-1", "line_offset"),
        ("line_limit=0", "line_limit"),
        ("byte_offset=-1", "byte_offset"),
        ("byte_limit=0", "byte_limit"),
        ("byte_limit=1.5", "byte_limit"),
        ("line_offset=1&byte_offset=1", "byte_offset"),
        ("offset=1", "offset"),
    ],
)
def test_a_wrong_parameter_of_a_page_is_a_400_that_names_it(
    client: httpx2.Client, name: str, query: str, field: str
) -> None:
    path = f"/api/executions/{run(client, '1', name)['execution_id']}/output"
    refused(client.get(f"{path}?{query}"), 400, "invalid_field", field)


@pytest.mark.parametrize("what", ["", "/output", "/events"])
def test_an_unknown_execution_is_a_404_on_each_of_its_routes(client: httpx2.Client, what: str) -> None:
    refused(client.get(UNKNOWN + what), 404, "not_found", "execution_id")
    refused(client.get(f"/api/executions/x{what}"), 404, "not_found", "execution_id")


def test_executions_of_an_unknown_session_are_a_404(client: httpx2.Client) -> None:
    refused(client.get("/api/executions?session=nobody-made-this"), 404, "not_found", "session")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/executions", "GET"),
        ("DELETE", UNKNOWN, "GET"),
        ("PUT", f"{UNKNOWN}/output", "GET"),
        ("POST", f"{UNKNOWN}/events", "GET"),
        ("GET", f"{UNKNOWN}/cancel", "POST"),
        ("PATCH", "/api/sessions", "GET"),
        ("POST", "/api/sessions/a", "DELETE"),
        ("POST", "/api/sessions/a/tags", "PUT"),
        ("GET", "/api/sessions/a/fork", "POST"),
        ("POST", "/metrics", "GET"),
    ],
)
def test_a_wrong_method_is_a_405_that_says_which_are_right(
    client: httpx2.Client, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    refused(response, 405, "method_not_allowed")
    assert allowed in response.headers["allow"].split(", ")
