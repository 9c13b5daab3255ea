"""Sessions over REST: lists, logs, states, labels, forks and deletion."""

from __future__ import annotations

import httpx2
import pytest
from rest_client import begin, refused, run, told

NOBODY = "/api/sessions/nobody-made-this"


def test_a_session_tells_where_it_is(client: httpx2.Client, name: str) -> None:
    first = run(client, "let x = 1", name)
    run(client, "x = 2", name)
    answer = told(client.get(f"/api/sessions/{name}"))
    assert answer["session"] == name
    assert (answer["event"], answer["events"]) == (2, 3)
    assert answer["heap"] == run(client, "x", name)["heap"] or answer["heap"] != first["heap"]
    assert (answer["awake"], answer["running"], answer["status"]) == (True, 0, "ok")
    assert (answer["tags"], answer["forked_from"]) == ({}, None)
    assert answer["created_at"] == first["started_at"]


def test_pages_of_sessions_together_are_the_whole_list(client: httpx2.Client, name: str) -> None:
    for number in range(4):
        run(client, "1", f"{name}-{number}")
    first = told(client.get("/api/sessions", params={"limit": 3}))
    second = told(client.get("/api/sessions", params={"limit": 1, "after": first["next"]}))
    seen = [one["session"] for one in first["sessions"] + second["sessions"]]
    assert seen == [f"{name}-{number}" for number in (3, 2, 1, 0)]


def test_a_log_tells_every_event_with_who_asked(client: httpx2.Client, name: str) -> None:
    done = run(client, "console.log('hi'); input.a", name, input={"a": 7})
    client.post("/api/exec", json={"code": "throw 1", "session": name}, headers={"user-agent": "tester/9"})
    run(client, "for (;;);", name, execution_timeout_secs=0.2)
    answer = told(client.get(f"/api/sessions/{name}/events"))
    assert (answer["session"], answer["next"]) == (name, None)
    created, executed, failed, aborted = answer["events"]
    assert (created["event"], created["type"]) == (0, "created")
    assert "code" not in created
    assert executed["id"] == done["heap"]
    assert executed["execution_id"] == done["execution_id"]
    assert (executed["status"], executed["result"], executed["output"]) == ("completed", "7", "hi\n")
    assert (executed["code"], executed["input"]) == ("console.log('hi'); input.a", '{"a":7}')
    assert (executed["error"], executed["truncated"]) == (None, [])
    assert failed["caller"] == {"transport": "rest", "client": "tester", "client_version": "9"}
    assert (failed["status"], failed["result"]) == ("failed", None)
    assert (aborted["type"], aborted["status"]) == ("aborted", "timed_out")
    assert aborted["error"].startswith("TimedOut: ")


def test_a_log_is_read_in_pages(client: httpx2.Client, name: str) -> None:
    for number in range(4):
        run(client, str(number), name)
    path = f"/api/sessions/{name}/events"
    page = told(client.get(path, params={"first": 1, "limit": 2}))
    assert [event["event"] for event in page["events"]] == [1, 2]
    rest = told(client.get(path, params={"first": page["next"], "limit": 9}))
    assert [event["event"] for event in rest["events"]] == [3, 4]
    assert rest["next"] is None


def test_long_texts_are_cut_in_the_log_and_whole_in_the_event(client: httpx2.Client, name: str) -> None:
    code = f"/*{'c' * 5000}*/ console.log('o'.repeat(5000)); 'r'.repeat(5000)"
    run(client, code, name)
    listed = told(client.get(f"/api/sessions/{name}/events", params={"first": 1}))["events"][0]
    assert listed["truncated"] == ["code", "output", "result"]
    assert [len(listed[text]) for text in listed["truncated"]] == [2000] * 3
    whole = told(client.get(f"/api/sessions/{name}/events/1"))
    assert (whole["code"], whole["output"], whole["truncated"]) == (code, "o" * 5000 + "\n", [])
    assert whole["error_detail"] is None
    in_full = client.get(f"/api/sessions/{name}/events", params={"first": 1, "full": "true"})
    assert told(in_full)["events"] == [whole]


def test_an_event_tells_the_level_of_each_line_of_its_console(client: httpx2.Client, name: str) -> None:
    run(client, "console.log('a\\nb'); console.error('c')", name)
    lines = told(client.get(f"/api/sessions/{name}/events/1"))["console"]
    assert lines == [{"level": "log", "text": "a\nb"}, {"level": "error", "text": "c"}]
    run(client, "for (const c of 'abc') console.log(c.repeat(400_000))", name)
    cut = told(client.get(f"/api/sessions/{name}/events/2"))
    assert "\n".join(line["text"] for line in cut["console"]) == cut["output"].removesuffix("\n")


def test_a_state_tells_variables_with_types_and_previews(client: httpx2.Client, name: str) -> None:
    run(client, "let xs = [1, 2]; const f = () => 1; globalThis.g = new Map([[1, 2]])", name)
    last = run(client, "xs.push(3)", name)
    answer = told(client.get(f"/api/sessions/{name}/state"))
    assert (answer["session"], answer["event"], answer["heap"]) == (name, 2, last["heap"])
    variables = {one["name"]: one for one in answer["globals"]}
    assert variables["xs"] == {"name": "xs", "scope": "lexical", "type": "Array", "preview": "[ 1, 2, 3 ]"}
    assert variables["f"]["type"] == "function"
    assert (variables["g"]["scope"], variables["g"]["type"]) == ("global", "Map")
    before = told(client.get(f"/api/sessions/{name}/state", params={"event": 1}))
    assert before["event"] == 1
    assert {one["name"]: one["preview"] for one in before["globals"]}["xs"] == "[ 1, 2 ]"


def test_a_fork_goes_on_from_a_point_under_its_own_name(client: httpx2.Client, name: str) -> None:
    point = run(client, "let x = 1", name)
    run(client, "x = 2", name)
    response = client.post(f"/api/sessions/{name}/fork", json={"event": 1, "name": f"{name}-b"})
    assert response.status_code == 201
    assert response.headers["location"] == f"/api/sessions/{name}-b"
    fork = told(response)
    assert (fork["session"], fork["forked_from"]) == (f"{name}-b", f"{name}@1")
    assert fork["heap"] != point["heap"]
    assert run(client, "x", f"{name}-b")["result"] == "1"
    assert run(client, "x", name)["result"] == "2"
    log = told(client.get(f"/api/sessions/{name}-b/events"))["events"]
    assert [event["type"] for event in log] == ["created", "executed", "forked", "executed"]


def test_a_fork_without_a_body_is_of_the_present_with_a_name_from_the_server(
    client: httpx2.Client, name: str
) -> None:
    run(client, "let x = 5", name)
    fork = told(client.post(f"/api/sessions/{name}/fork"))
    assert fork["session"].startswith("s_")
    assert run(client, "x", fork["session"])["result"] == "5"


def test_a_fork_to_a_name_that_is_taken_is_a_409(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    response = client.post(f"/api/sessions/{name}/fork", json={"name": name})
    refused(response, 409, "conflict", "name")


def test_a_point_that_is_not_there_is_a_404_that_names_it(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    path = f"/api/sessions/{name}"
    for response in (
        client.get(f"{path}/state?event=9"),
        client.post(f"{path}/fork", json={"event": 9}),
        client.put(f"{path}/tags", json={"event": 9, "tags": {"k": "v"}}),
        client.delete(f"{path}/tags?event=9&key=k"),
    ):
        refused(response, 404, "not_found", "event")
        assert "event 9" in response.json()["error"]
    response = client.post("/api/exec", json={"session": f"{name}@9", "code": "1"})
    refused(response, 404, "not_found", "session")


def test_a_state_can_be_labelled_and_found_by_its_label(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    run(client, "2", name)
    path = f"/api/sessions/{name}/tags"
    answer = told(client.put(path, json={"event": 1, "tags": {name[:60]: "a", "other": "b"}}))
    assert answer == {"session": name, "tags": {"1": {name[:60]: "a", "other": "b"}}}
    found = told(client.get("/api/sessions", params={"tag": f"{name[:60]}:a"}))["sessions"]
    assert [one["session"] for one in found] == [name]
    assert told(client.get("/api/sessions", params={"tag": f"{name[:60]}:b"}))["sessions"] == []
    assert len(told(client.get("/api/sessions", params={"tag": name[:60]}))["sessions"]) == 1
    changed = told(client.put(path, json={"event": 1, "tags": {"other": None, "third": "c"}}))
    assert changed["tags"] == {"1": {name[:60]: "a", "third": "c"}}
    told(client.delete(path, params={"event": 1, "key": "third"}))
    assert told(client.get(path))["tags"] == {"1": {name[:60]: "a"}}
    tagged = told(client.get(f"/api/sessions/{name}/events", params={"first": 4}))["events"][0]
    assert (tagged["type"], tagged["target"]) == ("tagged", 1)
    assert tagged["tags"] == {"other": None, "third": "c"}


def test_a_list_shows_some_of_many_labels_and_says_so(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    tags = {f"k{number}": "v" for number in range(20)} | {name[:64]: ""}
    told(client.put(f"/api/sessions/{name}/tags", json={"tags": tags}))
    listed = told(client.get("/api/sessions", params={"tag": name[:64]}))["sessions"][0]
    assert (len(listed["tags"]["1"]), listed["tags_truncated"]) == (16, True)
    whole = told(client.get(f"/api/sessions/{name}"))
    assert (len(whole["tags"]["1"]), whole["tags_truncated"]) == (21, False)


def test_without_an_event_the_present_state_is_labelled(client: httpx2.Client, name: str) -> None:
    run(client, "1", name)
    assert told(client.put(f"/api/sessions/{name}/tags", json={"tags": {"k": ""}}))["tags"] == {
        "1": {"k": ""}
    }


def test_a_deleted_session_is_gone_and_its_forks_live_on(client: httpx2.Client, name: str) -> None:
    run(client, "let x = 3", name)
    fork = told(client.post(f"/api/sessions/{name}/fork"))["session"]
    answer = told(client.delete(f"/api/sessions/{name}"))
    assert answer["session"] == name
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/events"),
        ("GET", "/state"),
        ("GET", "/tags"),
    ):
        refused(client.request(method, f"/api/sessions/{name}{path}"), 404, "not_found", "session")
    assert run(client, "x", fork)["result"] == "3"
    assert run(client, "typeof x", name)["created"] is True


def test_a_deletion_waits_for_what_was_accepted_before_it(client: httpx2.Client, name: str) -> None:
    running = begin(client, "for (let i = 0; i < 3e7; i++); 'over'", name)
    told(client.delete(f"/api/sessions/{name}"))
    refused(client.get(f"/api/sessions/{name}"), 404, "not_found", "session")
    assert told(client.get(f"/api/executions/{running}"))["result"] == "'over'"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/events", None),
        ("GET", "/events/0", None),
        ("GET", "/state", None),
        ("GET", "/tags", None),
        ("PUT", "/tags", {"tags": {"a": "b"}}),
        ("DELETE", "/tags?key=a", None),
        ("POST", "/fork", {}),
    ],
)
def test_an_unknown_session_is_a_404_on_each_of_its_routes(
    client: httpx2.Client, method: str, path: str, body: object
) -> None:
    refused(client.request(method, NOBODY + path, json=body), 404, "not_found", "session")


@pytest.mark.parametrize("event", ["3", "-1", "x", "1e1", "9" * 30, "%00"])
def test_an_event_that_is_not_there_is_a_404(client: httpx2.Client, name: str, event: str) -> None:
    run(client, "1", name)
    response = client.get(f"/api/sessions/{name}/events/{event}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "?limit=0", "limit"),
        ("GET", "?tag=", "tag"),
        ("GET", "?after=x", "after"),
        ("GET", "?order=up", "order"),
        ("GET", "/a/events?first=-1", "first"),
        ("GET", "/a/events?limit=0", "limit"),
        ("GET", "/a/state?event=x", "event"),
        ("GET", "/a/state?event=", "event"),
        ("DELETE", "/a/tags", "key"),
        ("DELETE", "/a/tags?key=", "key"),
        ("DELETE", "/a?force=1", "force"),
    ],
)
def test_a_wrong_parameter_is_a_400_that_names_it(
    client: httpx2.Client, method: str, path: str, field: str
) -> None:
    refused(client.request(method, f"/api/sessions{path}"), 400, "invalid_field", field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"event": -1}', "event"),
        (b'{"event": "1"}', "event"),
        (b'{"name": "a b"}', "name"),
        (b'{"name": 5}', "name"),
        (b'{"into": "x"}', "into"),
        (b'{"event": 1e300}', "event"),
        (b'{"event": 1.5}', "event"),
        (b"[]", None),
        (b'{"event": 1', None),
        (b'{"name": "\xff"}', None),
        (b'{"name": ' + b"[" * 100_000, None),
    ],
)
def test_a_wrong_body_of_a_fork_is_a_400(
    client: httpx2.Client, name: str, body: bytes, field: str | None
) -> None:
    run(client, "1", name)
    response = client.post(f"/api/sessions/{name}/fork", content=body)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid_field"
    if field is not None:
        assert response.json()["field"] == field


@pytest.mark.parametrize(
    "tags",
    [{}, {"": "x"}, {"k" * 65: "x"}, {"k": "v" * 257}, {"k": 1}, [], None, {str(i): "x" for i in range(65)}],
)
def test_wrong_labels_are_a_400(client: httpx2.Client, name: str, tags: object) -> None:
    run(client, "1", name)
    response = client.put(f"/api/sessions/{name}/tags", json={"tags": tags})
    refused(response, 400, "invalid_field", "tags")


def test_a_body_that_would_have_to_be_unpacked_is_a_415(client: httpx2.Client, name: str) -> None:
    response = client.post(f"/api/sessions/{name}/fork", content=b"{}", headers={"content-encoding": "gzip"})
    refused(response, 415, "unsupported_media_type", "Content-Encoding")


def test_a_body_over_its_limit_is_a_413(client: httpx2.Client, name: str) -> None:
    response = client.put(f"/api/sessions/{name}/tags", content=b" " * (5 << 20))
    refused(response, 413, "too_large")


def test_a_checkpoint_is_made_when_it_is_asked_for(client: httpx2.Client, name: str) -> None:
    done = run(client, "let x = 1", name)
    made = told(client.post(f"/api/sessions/{name}/checkpoint"))
    assert made["bytes"] > 0
    assert made["duration_ms"] > 0
    known = {"session": name, "event": 1, "heap": done["heap"], "bytes": made["bytes"], "declined": None}
    assert made == {**known, "made": True, "duration_ms": made["duration_ms"]}
    again = told(client.post(f"/api/sessions/{name}/checkpoint"))
    assert again == {**known, "made": False, "duration_ms": None}
    checkpoint = told(client.get(f"/api/sessions/{name}"))["checkpoint"]
    assert (checkpoint["event"], checkpoint["bytes"]) == (1, made["bytes"])
    run(client, "let c = new Intl.Collator()", name)
    declined = told(client.post(f"/api/sessions/{name}/checkpoint"))
    assert (declined["event"], declined["made"], declined["bytes"]) == (2, False, None)
    assert "live Intl.Collator" in declined["declined"]
    refused(client.post(f"{NOBODY}/checkpoint"), 404, "not_found", "session")
