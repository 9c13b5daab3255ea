"""What the server tells about itself: health, metrics, and its documents."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

import httpx2
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rest_client import begin, refused, run, server_events, told
from server_process import running

from transports.metrics import BUSIEST, STAGES, Metrics
from transports.request import FIELDS
from transports.rest import openapi
from transports.rest.application import all_routes
from transports.rest.submit import ExecBody, ExecQuery
from transports.settings import DEFAULTS

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(client: httpx2.Client) -> Samples:
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((f"mcp_v8_{name}", frozenset(labels.items())), 0.0)


def test_executions_are_counted_by_status_and_timed_by_stage(client: httpx2.Client, name: str) -> None:
    before = samples(client)
    run(client, "1", name)
    run(client, "throw 1", name)
    after = samples(client)
    for status in ("completed", "failed"):
        counted = [value(found, "executions_total", status=status) for found in (before, after)]
        assert counted[1] - counted[0] == 1
    for stage in STAGES:
        took = [value(found, "execution_stage_seconds_count", stage=stage) for found in (before, after)]
        assert took[1] - took[0] == 2, stage
    assert value(after, "store_appends_total") - value(before, "store_appends_total") == 2
    assert value(after, "store_append_failures_total") == 0


def test_what_is_stored_is_counted_whatever_it_is(client: httpx2.Client, name: str) -> None:
    before = value(samples(client), "store_appends_total")
    run(client, "1", name)
    for _ in range(2):  # the second time there is nothing to store
        client.put(f"/api/sessions/{name}/tags", json={"tags": {"a": "b"}})
    client.post(f"/api/sessions/{name}/fork")
    client.delete(f"/api/sessions/{name}")
    assert value(samples(client), "store_appends_total") - before == 4


def test_what_runs_and_waits_is_told(client: httpx2.Client, name: str) -> None:
    first = begin(client, "console.log(1); for (;;);", name)
    second = begin(client, "1", name)
    with client.stream("GET", f"/api/executions/{first}/events") as stream:
        next(server_events(stream.iter_lines()))  # it has its turn
        found = samples(client)
        assert value(found, "executions_in_flight") == 2
        assert value(found, "executions_queued") == 1
        assert value(found, "sessions_awake") >= 1
        assert value(found, "workers") >= 1
    for one in (first, second):
        client.post(f"/api/executions/{one}/cancel")


def test_cpu_time_is_told_by_status_kind_and_session(client: httpx2.Client, name: str) -> None:
    before = samples(client)
    run(client, "for (let i = 0; i < 1e8; i++);", name)
    after = samples(client)
    for number, labels in (
        ("execution_cpu_seconds_count", {"status": "completed"}),
        ("execution_cpu_seconds_sum", {"status": "completed"}),
        ("cpu_seconds_total", {"kind": "execution"}),
    ):
        assert value(after, number, **labels) > value(before, number, **labels)
    assert value(after, "workers_held") == 0
    busiest = {
        dict(labels)["session"]: seconds
        for (sample, labels), seconds in after.items()
        if sample == "mcp_v8_session_cpu_recent_seconds"
    }
    assert busiest[name] > 0
    assert len(busiest) <= BUSIEST


def test_metrics_name_the_build_and_the_process(client: httpx2.Client) -> None:
    text = client.get("/metrics").text
    assert re.search(r'^mcp_v8_build_info{engine="\w+",version="[\d.]+"} 1\.0$', text, re.MULTILINE)
    assert "process_resident_memory_bytes " in text


def test_metrics_speak_openmetrics_to_whoever_asks(client: httpx2.Client) -> None:
    response = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_a_stateless_server_has_no_sessions_and_says_so() -> None:
    with running("--stateless") as server, httpx2.Client(base_url=server.url, timeout=40) as client:
        done = told(client.post("/api/exec", json={"code": "1"}))
        assert told(client.get("/api/sessions"))["sessions"] == []
        listed = told(client.get("/api/executions"))["executions"]
        assert [one["execution_id"] for one in listed] == [done["execution_id"]]
        response = client.get("/api/sessions/a")
        assert response.status_code in (400, 404)
        assert "stateless" in response.json()["error"]
        told_to_models = client.get("/llms.txt").text
        assert "nothing stays" in told_to_models
        assert not re.search("session|heap|remember", told_to_models)


def test_the_document_is_served_under_both_names(client: httpx2.Client) -> None:
    document = told(client.get("/openapi.json"))
    assert document == told(client.get("/api-doc/openapi.json"))
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]["/api/sessions/{name}/tags"]) == {"get", "put", "delete"}


def test_the_document_tells_the_fields_of_exec_and_of_every_answer() -> None:
    document = openapi.document(
        all_routes(None, DEFAULTS, failing=lambda: None, metrics=Metrics())  # type: ignore[arg-type]
    )
    shapes = document["components"]["schemas"]
    assert set(shapes["ExecBody"]["properties"]) == set(FIELDS) == set(ExecBody.__struct_fields__)
    assert set(ExecQuery.__struct_fields__) == set(FIELDS) - {"code", "input"}
    assert shapes["ErrorBody"]["required"] == ["error", "code", "field"]
    assert "status" in shapes["Answer"]["required"]
    assert "pending" not in shapes["Answer"]["required"]
    assert shapes["CancelAnswer"]["properties"]["result"]["description"].startswith("The last expression")
    references = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(document).decode()))
    assert references <= set(shapes)


def test_the_reference_page_needs_nothing_but_itself(client: httpx2.Client) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page, policy = response.text, response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert re.findall(r"(?:src|href)=\"(?!#|/)", page) == []
    assert "<script" not in page
    assert " style=" not in page


def test_the_reference_page_shows_every_route_and_shape(client: httpx2.Client) -> None:
    page, document = client.get("/docs").text, told(client.get("/openapi.json"))
    anchors = set(re.findall(r'<section id="(\w+)"', page))
    operations = {one["operationId"] for path in document["paths"].values() for one in path.values()}
    assert anchors == operations | set(document["components"]["schemas"])
    assert set(re.findall(r'href="#(\w+)"', page)) <= anchors


def test_a_model_is_told_routes_that_exist(client: httpx2.Client) -> None:
    response = client.get("/llms.txt")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert len(response.text) < 4_000
    known = told(client.get("/openapi.json"))["paths"]
    named = re.findall(r"(?:GET|POST) (/[\w/]*)", response.text)
    assert named
    for path in named:
        generic = path.replace("/ID", "/{id}").replace("/NAME", "/{name}")
        assert generic in known, path
    for link in re.findall(r"\]\((/[^)]*)\)", response.text):
        assert client.get(link).status_code == 200


def test_a_model_is_told_of_interfaces_that_are_there(client: httpx2.Client, name: str) -> None:
    text = client.get("/llms.txt").text
    there = re.search(r"with (WebAssembly.*?)\. No\s+(.*?)\.", text, re.DOTALL)
    assert there is not None
    named = re.findall(r"\b(?:[A-Z]\w+|atob|btoa|crypto|structuredClone|performance|console)\b", there[1])
    assert len(named) > 10
    found = run(client, "input.filter(name => !(name in globalThis))", name, input=named)["result_json"]
    assert found == []


def test_the_root_says_where_to_go(client: httpx2.Client) -> None:
    answer = told(client.get("/"))
    for place in ("docs", "openapi", "llms"):
        assert client.get(answer[place]).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/llms.txt", "/api/sessions"]
)
def test_head_has_the_headers_of_get_and_no_body(client: httpx2.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/docs", "/openapi.json", "/api/version"])
def test_parameters_that_mean_nothing_are_refused_everywhere(client: httpx2.Client, path: str) -> None:
    refused(client.get(f"{path}?x=1"), 400, "invalid_field", "x")
