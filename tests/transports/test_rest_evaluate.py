"""Code at a point of a session over REST, of which nothing is recorded; and longer previews of variables."""

from __future__ import annotations

import httpx2
from rest_client import Json, refused, run, told


def evaluated(client: httpx2.Client, session: str, code: str, **fields: object) -> Json:
    return told(client.post(f"/api/sessions/{session}/evaluate", json={"code": code, **fields}))


def test_code_is_evaluated_in_a_state_of_the_past_and_recorded_nowhere(
    client: httpx2.Client, name: str
) -> None:
    first = run(client, "let n = 1", name)
    run(client, "n = 2", name)
    answer = evaluated(client, name, "console.log('so', n); [n, input]", event=1, input={"a": 1})
    assert {**answer, "duration_ms": None} == {
        "session": name,
        "event": 1,
        "heap": first["heap"],
        "status": "completed",
        "result": "[ 1, { a: 1 } ]",
        "result_json": [1, {"a": 1}],
        "output": "so 1\n",
        "output_truncated": False,
        "error": None,
        "error_detail": None,
        "duration_ms": None,
    }
    assert evaluated(client, name, "n = 3")["result"] == "3"
    assert evaluated(client, name, "n")["result"] == "2"
    assert told(client.get(f"/api/sessions/{name}"))["event"] == 2


def test_what_it_comes_to_is_the_answer_also_where_that_is_an_error(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    answer = evaluated(client, name, "\nmissing.x")
    assert (answer["status"], answer["error"]) == ("failed", "ReferenceError: missing is not defined")
    assert "> 2 | missing.x" in answer["error_detail"]["frame"]
    answer = evaluated(client, name, "for (;;);", execution_timeout_secs=0.3)
    assert (answer["status"], answer["result"]) == ("timed_out", None)


def test_what_cannot_be_evaluated_is_refused(client: httpx2.Client, name: str) -> None:
    path = f"/api/sessions/{name}/evaluate"
    refused(client.post(path, json={"code": "1"}), 404, "not_found", "session")
    run(client, "1", name)
    refused(client.post(path, json={"code": "1", "event": 2}), 404, "not_found", "event")
    refused(client.post(path, json={}), 400, "invalid_field", "code")
    refused(client.post(path, json={"code": "1", "x": 1}), 400, "invalid_field", "x")
    refused(
        client.post(path, json={"code": "1", "execution_timeout_secs": 0}),
        400,
        "invalid_field",
        "execution_timeout_secs",
    )
    refused(client.post(path, json={"code": "x" * 2_000_000}), 413, "too_large", "code")


def test_previews_are_as_long_as_they_are_asked_for(client: httpx2.Client, name: str) -> None:
    run(client, "const text = 'x'.repeat(3_000)", name)
    path = f"/api/sessions/{name}/state"
    lengths = [
        len(told(client.get(path, params=query))["globals"][0]["preview"])
        for query in ({}, {"preview_chars": 20}, {"preview_chars": 2_000})
    ]
    assert lengths == [200, 20, 2_000]
    refused(client.get(path, params={"preview_chars": 2_001}), 400, "invalid_field", "preview_chars")
    refused(client.get(path, params={"preview_chars": 0}), 400, "invalid_field", "preview_chars")
