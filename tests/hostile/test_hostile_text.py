"""No text that a client or its code chose leaves the server as anything but text: in log lines, headers,
metrics, documents and what a model reads.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from server_process import ServerProcess, running

NASTY = (
    "line\nlevel=error status=completed",
    "\r\nSet-Cookie: owned=1\r\n\r\n<script>alert(1)</script>",
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "\x9b31m\x85\x8d\x7f\x08",
    "nul\0nul",
    "\u202egnp.exe\u2066\u2028\u2029\ufeff",
    "%s%n%(x)s{0}{x!r}$HOME`id`$(id)",
    "'; DROP TABLE events; --\"\\",
    '", "level": "error", "x": "',
    "../../../etc/passwd",
    "[demo@1] => 1",
)
HEADERS = (
    "user-agent",
    "x-request-id",
    "traceparent",
    "prefer",
    "accept",
    "last-event-id",
    "x-mcp-session-id",
)
EVENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[\w+ *\] ")
HTTP_UNSAFE = re.compile(rb"[^\x20-\x7e\x80-\xff]")
MCP = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


@pytest.fixture(params=["text", "json"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server that logs all that it can."""
    flags = ("--log-format", request.param, "--log-level", "debug")
    with running("--directory-path", str(tmp_path), *flags) as server:
        yield server


def test_nothing_that_clients_choose_is_more_than_text_in_log_headers_and_documents(
    server: ServerProcess,
) -> None:
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        before = documents(client)
        answers = [answer for nasty in NASTY for answer in told_everywhere(client, nasty)]
        assert documents(client) == before
        metrics = client.get("/metrics").text
    assert server.terminate() == 0
    for answer in answers:
        assert answer.status_code < 500, answer.text
        for name, value in answer.headers.raw:
            assert value.isascii(), (name, value)
            assert value.decode().isprintable(), (name, value)
    assert all(line.isprintable() for line in metrics.split("\n"))
    assert not any(nasty in metrics for nasty in NASTY)
    check_log(server.log)


def documents(client: httpx2.Client) -> list[bytes]:
    return [client.get(path).content for path in ("/docs", "/openapi.json", "/llms.txt", "/", "/api/version")]


def told_everywhere(client: httpx2.Client, nasty: str) -> Iterator[httpx2.Response]:
    """Send a text in every place that takes one."""
    literal = json.dumps(nasty)
    code = f"console.log({literal}); const e = new Error({literal}); e.name = {literal}; throw e"
    yield client.post("/api/exec", json={"session": "demo", "code": code})
    yield client.post("/api/exec", json={"session": "demo", "code": f"({{ [{literal}]: {literal} }})"})
    yield client.post("/api/exec", json={"session": "demo", "code": f"let x = {literal} +"})
    yield client.post("/api/exec", json={"session": "demo", "code": "input", "input": {nasty: nasty}})
    yield client.post("/api/exec", json={"session": nasty, "code": "1"})
    yield client.post("/api/exec", json={"code": "1", nasty: 1})
    yield client.post("/api/exec", json={"code": "1", "heap": nasty})
    yield client.post("/api/exec", json={"code": "1", "idempotency_key": nasty})
    yield client.post("/api/exec", content=nasty.encode(), headers={"content-type": "text/plain"})
    yield client.put("/api/sessions/demo/tags", json={"event": 1, "tags": {nasty[:64]: nasty}})
    yield client.get("/api/sessions", params={"tag": nasty})
    yield client.get("/api/sessions", params={nasty: nasty})
    for path in ("", "/api/sessions/", "/api/executions/"):
        yield client.get(f"{path or '/'}{quote(nasty, safe='')}")
        yield client.request("DELETE", f"{path or '/'}{quote(nasty, safe='')}")
    value = HTTP_UNSAFE.sub(b"?", nasty.encode("latin-1", "replace")).strip()
    for name in HEADERS:
        headers = [(b"content-type", b"application/json"), (name.encode(), value)]
        yield client.post("/api/exec", json={"session": "demo", "code": "1"}, headers=headers)
    yield client.get("/healthz", headers=[(b"host", value)])
    yield client.get("/healthz", headers=[(b"origin", value)])
    yield from told_to_mcp(client, nasty, code)


def told_to_mcp(client: httpx2.Client, nasty: str, code: str) -> Iterator[httpx2.Response]:
    opened = call(client, {}, "initialize", **hello(nasty))
    yield opened
    session = {"mcp-session-id": opened.headers["mcp-session-id"]}
    for arguments in ({"code": code}, {"code": "1", nasty: 1}, {"code": "1", "session": nasty}):
        yield call(client, session, "tools/call", name="run_js", arguments=arguments)
    yield call(client, session, "tools/call", name=nasty, arguments={})
    yield call(client, session, nasty)
    yield client.post("/mcp", content=nasty.encode(), headers=MCP)


def hello(nasty: str) -> dict[str, Any]:
    client = {"name": nasty, "version": nasty}
    return {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}


def call(client: httpx2.Client, headers: dict[str, str], method: str, **params: Any) -> httpx2.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return client.post("/mcp", json=message, headers={**MCP, **headers})


def check_log(log: str) -> None:
    """Each event is one line without a character that a terminal obeys, and can be read back."""
    lines = log.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines), [line for line in lines if not line.isprintable()]
    if lines[-1].startswith("{"):
        events = [json.loads(line) for line in lines]
        told = [event for event in events if event["event"] == "execution"]
        levels = {event["level"] for event in events}
    else:
        announced = next(number for number, line in enumerate(lines) if line.startswith("Try: "))
        logged = lines[announced + 1 :]
        assert [line for line in logged if not EVENT.match(line)] == []
        told = [line for line in logged if " execution mcp_v8 " in line]
        levels = {line.split("[")[1].split("]")[0].strip() for line in logged}
    assert len(told) > 5 * len(NASTY)
    assert levels <= {"debug", "info"}


def test_a_model_reads_no_character_that_a_terminal_obeys(tmp_path: Path) -> None:
    with (
        running("--directory-path", str(tmp_path)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        opened = call(client, {}, "initialize", **hello("t"))
        session = {"mcp-session-id": opened.headers["mcp-session-id"]}
        for nasty in NASTY:
            literal = json.dumps(nasty)
            for code in (
                f"console.log({literal}); {literal}",
                f"const e = new Error({literal}); e.name = {literal}; e.extra = {literal}; throw e",
                f"throw {literal}",
                f"class A {{ static name = {literal} }}; [new A(), {{ [{literal}]: 1 }}, Symbol({literal})]",
                f"/* {nasty} */ null.x",
            ):
                answered = call(client, session, "tools/call", name="run_js", arguments={"code": code})
                told = list(texts(answered))
                assert told
                assert [one for text in told for one in text if is_obeyed(one)] == [], (code, told)


def texts(answered: httpx2.Response) -> Iterator[str]:
    """What a call's result says, and the notifications before it."""
    for line in answered.text.split("\n"):
        if line.startswith("data: {"):
            message = json.loads(line.removeprefix("data: "))
            if "method" in message:
                yield message["params"]["data"]
            else:
                yield message["result"]["content"][0]["text"]


def is_obeyed(character: str) -> bool:
    """Whether it is a control character other than the newline and the tab, or one that turns text around."""
    return (unicodedata.category(character) == "Cc" and character not in "\n\t") or (
        unicodedata.bidirectional(character)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    )
