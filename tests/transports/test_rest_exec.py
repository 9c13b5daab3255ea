"""``POST /api/exec`` and the executions it makes, against a real server."""

from __future__ import annotations

import re
from datetime import datetime

import httpx2
import pytest
from rest_client import refused, told

from transports.execute import DEFAULT_WAIT

FIELDS = [
    "execution_id",
    "session",
    "created",
    "event",
    "heap",
    "status",
    "result",
    "result_json",
    "output",
    "output_truncated",
    "error",
    "error_detail",
    "started_at",
    "completed_at",
    "duration_ms",
]


def run(client: httpx2.Client, code: str, **fields: object) -> dict[str, object]:
    response = client.post("/api/exec", json={"code": code, **fields})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert isinstance(answer, dict)
    return answer


def test_an_execution_answers_with_every_field_of_the_contract_in_order(
    client: httpx2.Client, name: str
) -> None:
    answer = run(client, "console.log('sum', 14); [1, 2, 3].map(x => x * x)", session=name)
    assert list(answer) == FIELDS
    assert re.fullmatch(r"e_[a-z0-9]{16}", str(answer["execution_id"]))
    assert re.fullmatch(r"[0-9a-f]{64}", str(answer["heap"]))
    assert (answer["session"], answer["created"], answer["event"]) == (name, True, 1)
    assert (answer["status"], answer["result"], answer["result_json"]) == (
        "completed",
        "[ 1, 4, 9 ]",
        [1, 4, 9],
    )
    assert (answer["output"], answer["output_truncated"]) == ("sum 14\n", False)
    assert answer["error"] is answer["error_detail"] is None


def test_input_is_read_by_the_code_as_it_was_sent(client: httpx2.Client) -> None:
    sent = b'{"code": "[Object.is(input[0], -0), input[1], input[2]]", "input": [-0, 1e-400, "\\u00e9"]}'
    answer = client.post("/api/exec", content=sent, headers={"content-type": "application/json"}).json()
    assert answer["result"] == "[ true, 0, 'é' ]"


def test_an_input_of_null_is_given_and_one_left_out_is_not(client: httpx2.Client) -> None:
    assert run(client, "input === null", input=None)["result"] == "true"
    assert run(client, "typeof input")["result"] == "'undefined'"


def test_the_default_wait_is_half_a_minute() -> None:
    assert DEFAULT_WAIT == 30


def test_text_json_is_json(client: httpx2.Client) -> None:
    response = client.post("/api/exec", content=b'{"code": "1 + 1"}', headers={"content-type": "text/json"})
    assert response.json()["result"] == "2"


@pytest.mark.parametrize(("prefer", "applied"), [("wait=5;foo", "wait=5"), ("wait=" + "9" * 30, "wait=300")])
def test_a_preference_may_have_parameters_and_a_long_wait_is_cut(
    client: httpx2.Client, prefer: str, applied: str
) -> None:
    response = client.post("/api/exec", json={"code": "1"}, headers={"prefer": prefer})
    assert response.headers["preference-applied"] == applied


def test_times_are_iso_8601_in_utc(client: httpx2.Client) -> None:
    answer = run(client, "1")
    started, completed = str(answer["started_at"]), str(answer["completed_at"])
    assert started.endswith("Z")
    assert completed.endswith("Z")
    assert datetime.fromisoformat(started) <= datetime.fromisoformat(completed)
    assert isinstance(answer["duration_ms"], float)


def test_the_session_remembers(client: httpx2.Client, name: str) -> None:
    run(client, "let xs = [1, 2]", session=name)
    answer = run(client, "xs.push(3); xs", session=name)
    assert (answer["created"], answer["event"], answer["result_json"]) == (False, 2, [1, 2, 3])


def test_without_a_session_a_new_one_is_made_and_named(client: httpx2.Client) -> None:
    first, second = run(client, "1"), run(client, "1")
    assert re.fullmatch(r"s_[a-z0-9]{16}", str(first["session"]))
    assert first["session"] != second["session"]


def test_a_throw_is_a_200_with_the_error_as_a_string_and_in_detail(client: httpx2.Client, name: str) -> None:
    answer = run(client, "var kept = 1;\nundefined.id", session=name)
    assert answer["status"] == "failed"
    assert answer["error"] == "TypeError: Cannot read properties of undefined (reading 'id')"
    detail = answer["error_detail"]
    assert isinstance(detail, dict)
    assert (detail["name"], detail["line"], detail["undone"]) == ("TypeError", 2, False)
    assert run(client, "kept", session=name)["result"] == "1"


def test_a_timeout_is_undone(client: httpx2.Client, name: str) -> None:
    run(client, "var n = 1", session=name)
    answer = run(client, "n = 2; for (;;);", session=name, execution_timeout_secs=0.2)
    assert answer["status"] == "timed_out"
    assert run(client, "n", session=name)["result"] == "1"


def test_input_reaches_the_code_as_it_was_sent(client: httpx2.Client) -> None:
    value = {"text": 'é "quoted" \u2028', "deep": [[1.5, None, True]], "__proto__": 1}
    answer = run(client, "[input.text, input.deep, Object.keys(input)]", input=value)
    assert answer["result_json"] == [value["text"], value["deep"], list(value)]


def test_name_at_n_branches_from_that_event(client: httpx2.Client, name: str) -> None:
    run(client, "var n = 1", session=name)
    run(client, "n = 2", session=name)
    branch = run(client, "n", session=f"{name}@1")
    assert (branch["result"], branch["created"]) == ("1", True)
    assert branch["session"] != name


def test_a_heap_continues_its_session_while_that_is_there(client: httpx2.Client, name: str) -> None:
    first = run(client, "var n = 1", session=name)
    second = run(client, "++n", heap=first["heap"])
    assert (second["session"], second["result"]) == (name, "2")
    third = run(client, "n", heap=first["heap"])
    assert third["session"] != name
    assert third["result"] == "1"


def test_a_session_that_has_moved_on_from_the_heap_is_a_409(client: httpx2.Client, name: str) -> None:
    first = run(client, "var n = 1", session=name)
    run(client, "n = 2", session=name)
    response = client.post("/api/exec", json={"code": "n", "session": name, "heap": first["heap"]})
    assert (response.status_code, response.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize("kind", ["text/plain", "application/javascript", "text/javascript; charset=utf-8"])
def test_a_body_that_is_not_json_is_the_code(client: httpx2.Client, name: str, kind: str) -> None:
    response = client.post(
        "/api/exec",
        params={"session": name, "execution_timeout_secs": "5", "heap_memory_max_mb": "64"},
        content="'é'.length + 1",
        headers={"content-type": kind},
    )
    assert (response.status_code, response.json()["result"]) == (200, "2")
    assert response.json()["session"] == name


def test_json_is_understood_without_a_content_type_of_its_own(client: httpx2.Client) -> None:
    for kind in ({}, {"content-type": "application/x-www-form-urlencoded"}):
        response = client.post("/api/exec", content='{"code":"1 + 2"}', headers=kind)
        assert response.json()["result"] == "3"
        raw = client.post("/api/exec", content="({a: 1}).a + 2", headers=kind)
        assert raw.json()["result"] == "3"


def test_the_body_wins_over_the_query_string(client: httpx2.Client, name: str) -> None:
    response = client.post("/api/exec?session=other", json={"code": "1", "session": name})
    assert response.json()["session"] == name


def test_null_fields_count_as_absent(client: httpx2.Client) -> None:
    answer = run(client, "typeof input", session=None, heap=None, input=None, execution_timeout_secs=None)
    assert answer["status"] == "completed"


def test_long_console_output_is_cut_and_says_so(client: httpx2.Client) -> None:
    answer = run(client, "for (let i = 0; i < 3000; i++) console.log('é'.repeat(20))")
    output = str(answer["output"])
    assert answer["output_truncated"] is True
    assert 63_000 < len(output.encode()) <= 64_000


def test_pending_work_is_told(client: httpx2.Client, name: str) -> None:
    answer = run(client, "await new Promise(() => {})", session=name)
    assert (answer["status"], answer["pending"]) == ("completed", True)
    answer = run(client, "setInterval(() => {}, 1000); 1", session=name)
    assert answer["pending_timers"] == 1


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0", 'handling=lenient, Wait = "0"'])
def test_who_does_not_want_to_wait_gets_a_202_and_finds_the_outcome(
    client: httpx2.Client, prefer: str
) -> None:
    response = client.post("/api/exec", json={"code": "console.log(1); 7"}, headers={"prefer": prefer})
    assert response.status_code == 202
    assert response.headers["preference-applied"] in {"respond-async", "wait=0"}
    answer = response.json()
    assert list(answer) == FIELDS
    assert response.headers["location"] == f"/api/executions/{answer['execution_id']}"
    later = client.get(response.headers["location"], params={"wait": 30}).json()
    assert (later["status"], later["result"], later["output"]) == ("completed", "7", "1\n")


def test_what_is_not_over_within_the_wait_is_a_202_that_can_be_watched_and_cancelled(
    client: httpx2.Client, name: str
) -> None:
    run(client, "var n = 1", session=name)
    response = client.post(
        "/api/exec",
        json={"code": "n = 2; console.log('begun'); for (;;);", "session": name},
        headers={"prefer": "wait=1"},
    )
    assert response.status_code == 202
    assert response.headers["preference-applied"] == "wait=1"
    place = response.headers["location"]
    seen = client.get(place)
    assert (seen.status_code, seen.json()["status"], seen.json()["output"]) == (200, "running", "begun\n")
    cancelled = client.post(f"{place}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert client.get(place).json()["status"] == "cancelled"
    assert run(client, "n", session=name)["result"] == "1"


def test_a_cancel_of_what_is_over_changes_nothing(client: httpx2.Client) -> None:
    answer = run(client, "1")
    cancelled = client.post(f"/api/executions/{answer['execution_id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "completed")


def test_an_execution_is_found_again_as_it_was_answered(client: httpx2.Client, name: str) -> None:
    answer = run(client, "console.log('x'); ({a: [1]})", session=name)
    assert client.get(f"/api/executions/{answer['execution_id']}").json() == answer


@pytest.mark.parametrize("by", ["header", "field"])
def test_the_same_key_runs_once(client: httpx2.Client, name: str, by: str) -> None:
    run(client, "var n = 0", session=name)
    fields: dict[str, object] = {"code": "++n", "session": name}
    headers = {"idempotency-key": f"key of {name}"} if by == "header" else {}
    if by == "field":
        fields["idempotency_key"] = f"key of {name}"
    first = client.post("/api/exec", json=fields, headers=headers).json()
    again = client.post("/api/exec", json=fields, headers=headers).json()
    assert again == first
    assert run(client, "n", session=name)["result"] == "1"
    other = client.post("/api/exec", json={**fields, "code": "n += 2"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("patience", [0.1, 0.6])
def test_a_client_that_goes_away_cancels_nothing(client: httpx2.Client, name: str, patience: float) -> None:
    run(client, "var n = 0", session=name)
    code = "await new Promise(done => setTimeout(done, 1000)); n = 1"
    with (
        httpx2.Client(base_url=client.base_url, timeout=patience) as impatient,
        pytest.raises(httpx2.ReadTimeout),
    ):
        impatient.post("/api/exec", json={"code": code, "session": name})
    assert run(client, "n", session=name)["result"] == "1"


def test_sessions_are_listed_last_used_first(client: httpx2.Client, name: str) -> None:
    run(client, "1", session=f"{name}-a")
    answer = run(client, "1", session=f"{name}-b")
    run(client, "1", session=f"{name}-a")
    listed = client.get("/api/sessions").json()["sessions"]
    listed = [row for row in listed if row["session"].startswith(name)]  # others' may still be in use
    assert [row["session"] for row in listed] == [f"{name}-a", f"{name}-b"]
    assert (listed[0]["event"], listed[1]["heap"]) == (2, answer["heap"])


def test_health_readiness_and_version(client: httpx2.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert list(ready.json())[:3] == ["status", "store", "sandbox"]
    assert ready.json()["status"] == "ready"
    assert ready.json()["store"].startswith("sqlite:/")
    version = client.get("/api/version").json()
    assert version["name"] == "mcp-v8"
    assert version["engine"] == ready.json()["engine"]


def test_code_is_parsed_without_being_run(client: httpx2.Client) -> None:
    def parsed(code: str) -> object:
        return told(client.post("/api/parse", json={"code": code}))

    fine = {"complete": True, "error": None, "line": None, "column": None}
    assert parsed("for (;;);") == fine
    assert parsed("let a = {") == {**fine, "complete": False}
    wrong = {"complete": True, "error": "SyntaxError: Unexpected token '}'", "line": 2, "column": 3}
    assert parsed("1;\n  }") == wrong
    refused(client.post("/api/parse", json={}), 400, "invalid_field", "code")
    refused(client.post("/api/parse", json={"code": ";" * 2_000_000}), 413, "too_large", "code")
