"""Sessions over REST whose logs do not replay as they were recorded: how that shows, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from broken_sessions import make_store
from rest_client import Json, refused, run, told
from server_process import running

METRICS = ("sessions_diverged", "sessions_failed", "replay_drift")


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Of a server on such a store."""
    store = tmp_path_factory.mktemp("store")
    make_store(store)
    with (
        running("--directory-path", str(store)) as server,
        httpx2.Client(base_url=server.url, timeout=40) as client,
    ):
        yield client


def session(client: httpx2.Client, name: str) -> Json:
    return told(client.get(f"/api/sessions/{name}"))


def counts(client: httpx2.Client) -> list[str]:
    lines = client.get("/metrics").text.splitlines()
    return [line.split()[1] for name in METRICS for line in lines if line.startswith(f"mcp_v8_{name}_total")]


def test_a_diverged_session_tells_where_and_both_ways_to_go_on(client: httpx2.Client) -> None:
    before = session(client, "diverged")
    assert (before["status"], before["divergence"]) == ("ok", None)
    assert counts(client) == ["0.0"] * 3
    sentence = refused(
        client.post("/api/exec", json={"code": "n", "session": "diverged"}),
        409,
        "session_diverged",
        "session",
    )
    assert "replaying event 2 gave another result_json than recorded (expected '71', got '70')" in sentence
    assert "as name@1, or with heap " in sentence
    assert sentence.endswith("POST /api/sessions/name/accept")
    after = session(client, "diverged")
    divergence = {"event": 2, "field": "result_json", "expected": "71", "got": "70", "agreed_event": 1}
    assert (after["status"], after["divergence"], after["failed_event"]) == ("diverged", divergence, None)
    listed = {one["session"]: one for one in told(client.get("/api/sessions"))["sessions"]}
    assert listed["diverged"] == after
    assert listed["drifted"]["divergence"] is None
    assert counts(client) == ["1.0", "0.0", "0.0"]


def test_a_diverged_session_goes_on_where_it_is_accepted(client: httpx2.Client) -> None:
    before = session(client, "diverged")
    accepted = told(client.post("/api/sessions/diverged/accept"))
    assert (accepted["status"], accepted["divergence"], accepted["event"]) == ("ok", None, 3)
    assert accepted["heap"] != before["heap"]
    assert run(client, "n", "diverged", heap=accepted["heap"])["result"] == "7"
    event = told(client.get("/api/sessions/diverged/events/3"))
    assert (event["type"], event["differences"], event["id"]) == ("accepted", [2], accepted["heap"])
    assert event["caller"]["transport"] == "rest"
    refused(client.post("/api/sessions/diverged/accept"), 409, "conflict", "session")
    refused(client.post("/api/sessions/nobody/accept"), 404, "not_found", "session")


def test_a_failed_session_names_the_event_and_can_only_be_forked(client: httpx2.Client) -> None:
    body = {"code": "n", "session": "failed"}
    refused(client.post("/api/exec", json=body), 409, "session_failed", "session")
    found = session(client, "failed")
    assert (found["status"], found["failed_event"], found["divergence"]) == ("failed", 2, None)
    assert counts(client) == ["0.0", "1.0", "0.0"]
    sentence = refused(client.post("/api/sessions/failed/accept"), 409, "conflict", "session")
    assert sentence.endswith("fork it at its last good state, failed@1")
    assert run(client, "n", "failed@1")["result"] == "7"


def test_texts_that_changed_with_the_engine_are_counted(client: httpx2.Client) -> None:
    assert run(client, "n", "drifted")["result"] == "7"
    found = session(client, "drifted")
    assert (found["status"], found["drift"]) == ("ok", 1)
    assert counts(client) == ["0.0", "0.0", "1.0"]
