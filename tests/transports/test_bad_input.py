"""What each door answers to what is wrong, as its specification has it; and that the next request works.

One table: the same faults at ``/mcp`` in both eras, at ``/message`` and at ``/api/exec``.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest
from server_process import ServerProcess, running

TOKEN = "token-of-the-tests-01"
MODERN = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "1"},
}
USUAL = {
    "host": "localhost",
    "authorization": f"Bearer {TOKEN}",
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
}
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION = -32020, -32022
MAX_BODY = 65_536

DoorName = Literal["2025", "2026", "message", "exec"]
MCP: tuple[DoorName, ...] = ("2025", "2026")
MESSAGES: tuple[DoorName, ...] = (*MCP, "message")
ALL: tuple[DoorName, ...] = (*MESSAGES, "exec")


class Door(NamedTuple):
    """A request that works, of which each case changes something."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int


def message(method: str = "tools/list", **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"{TOKEN} tester\n")
    tokens.chmod(0o600)
    flags = ("--stateless", "--tokens", str(tokens), "--max-body-bytes", str(MAX_BODY))
    with running(*flags, port_flag="--sse-port") as server:
        yield server
        assert "Traceback" not in server.log
        assert TOKEN not in server.log


@pytest.fixture(scope="module")
def doors(server: ServerProcess) -> Iterator[dict[str, Door]]:
    opened = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    opened.request("POST", "/mcp", message("initialize", **HELLO), USUAL)
    answered = opened.getresponse()
    answered.read()
    name = answered.headers["mcp-session-id"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as stream:
        stream.sendall(
            f"GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        heard = b""
        while (place := re.search(rb"data: (/message\S+)", heard)) is None:
            heard += stream.recv(65_536) or pytest.fail(heard.decode())
        sessions = {"mcp-session-id": name, "mcp-protocol-version": "2025-11-25"}
        modern = {"mcp-protocol-version": MODERN, "mcp-method": "tools/list"}
        yield {
            "2025": Door("/mcp", USUAL | sessions, message(), 200),
            "2026": Door("/mcp", USUAL | modern, message(_meta=ENVELOPE), 200),
            "message": Door(place[1].decode(), USUAL, message("ping"), 202),
            "exec": Door("/api/exec", USUAL, b'{"code": "1 + 2"}', 200),
        }
    opened.close()


class Case(NamedTuple):
    """What is changed of a good request, and what comes of it.

    ``code`` is a JSON-RPC code, or a word of our own errors; None where there is no body.
    """

    fault: str
    doors: tuple[DoorName, ...]
    status: int
    code: int | str | None
    headers: dict[str, str | None] = {}  # noqa: RUF012 (nobody changes it)
    body: bytes | None = None
    method: str = "POST"
    path: str | None = None


def deep(count: int) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"a":%b}}' % (b"[" * count + b"]" * count)


GUESS = "Bearer nobody-has-this-token"
CASES = [
    # who asks, and from where
    Case("a host of somebody else", ALL, 421, "host_not_allowed", {"host": "evil.example"}),
    Case("a page of somebody else", ALL, 403, "origin_not_allowed", {"origin": "https://evil.example"}),
    Case("no token", ALL, 401, "unauthorized", {"authorization": None}),
    Case("a token of nobody", ALL, 401, "unauthorized", {"authorization": GUESS}),
    Case("another scheme", ALL, 401, "unauthorized", {"authorization": "Basic dGVzdDp0ZXN0"}),
    # HTTP
    Case("a body that is too long", ALL, 413, "too_large", body=b"x" * (MAX_BODY + 1)),
    Case("a compressed body", MCP, 415, "unsupported_media_type", {"content-encoding": "gzip"}),
    Case("a compressed body", ("exec",), 415, "unsupported_media_type", {"content-encoding": "gzip"}),
    Case("another content type", MESSAGES, 415, "unsupported_media_type", {"content-type": "text/plain"}),
    Case("no content type", MESSAGES, 415, "unsupported_media_type", {"content-type": None}),
    Case("a form", ("exec",), 415, "unsupported_media_type", {"content-type": "multipart/form-data"}),
    Case("accepting JSON only", MCP, 406, "not_acceptable", {"accept": "application/json"}),
    Case("accepting streams only", MCP, 406, "not_acceptable", {"accept": "text/event-stream"}),
    Case("accepting HTML", MCP, 406, "not_acceptable", {"accept": "text/html"}),
    Case("accepting nothing", MCP, 406, "not_acceptable", {"accept": None}),
    Case("another method", ALL, 405, "method_not_allowed", method="PUT"),
    Case("GET in 2026", ("2026",), 405, "method_not_allowed", method="GET"),
    Case("DELETE in 2026", ("2026",), 405, "method_not_allowed", method="DELETE"),
    Case("GET without a session", ("2025",), 400, "bad_request", {"mcp-session-id": None}, method="GET"),
    # JSON
    Case("JSON that is cut off", MESSAGES, 400, PARSE_ERROR, body=b'{"jsonrpc": "2.0", "id": 1'),
    Case("JSON that is cut off", ("exec",), 400, "invalid_field", body=b'{"code": "1'),
    Case("no body", MESSAGES, 400, PARSE_ERROR, body=b""),
    Case("no body", ("exec",), 400, "invalid_field", body=b""),
    Case("no UTF-8", MESSAGES, 400, PARSE_ERROR, body=message("\0").replace(b"\\u0000", b"\xff")),
    Case("no UTF-8", ("exec",), 400, "invalid_field", body=b'{"code": "\xff"}'),
    Case("JSON that is deep", MESSAGES, 400, PARSE_ERROR, body=deep(10_000)),
    Case("JSON that is deep", ("exec",), 400, "invalid_field", body=b'{"code":"1","input":' + deep(20_000)),
    # JSON-RPC
    Case("a batch", MESSAGES, 400, INVALID_REQUEST, body=b"[%b]" % message("ping")),
    Case("an empty batch", MESSAGES, 400, INVALID_REQUEST, body=b"[]"),
    Case("a batch", ("exec",), 400, "invalid_field", body=b'[{"code": "1"}]'),
    Case("a string", MESSAGES, 400, INVALID_REQUEST, body=b'"tools/list"'),
    Case("a string", ("exec",), 400, "invalid_field", body=b'"1 + 2"'),
    Case("no version of JSON-RPC", MESSAGES, 400, INVALID_REQUEST, body=b'{"id": 1, "method": "ping"}'),
    Case("JSON-RPC 1.0", MESSAGES, 400, INVALID_REQUEST, body=b'{"jsonrpc":"1.0","id":1,"method":"ping"}'),
    Case("an id null", MESSAGES, 400, INVALID_REQUEST, body=b'{"jsonrpc":"2.0","id":null,"method":"ping"}'),
    Case("an id 1.5", MESSAGES, 400, INVALID_REQUEST, body=b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}'),
    Case("an id {}", MESSAGES, 400, INVALID_REQUEST, body=b'{"jsonrpc":"2.0","id":{},"method":"ping"}'),
    Case("a method 7", MESSAGES, 400, INVALID_REQUEST, body=b'{"jsonrpc":"2.0","id":1,"method":7}'),
    Case("no method", MESSAGES, 400, INVALID_REQUEST, body=b'{"jsonrpc":"2.0","id":1}'),
    Case(
        "a list as parameters",
        MESSAGES,
        400,
        INVALID_REQUEST,
        body=b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}',
    ),
    # MCP: a revision with sessions answers a request on its stream, the one of 2026 with a status as well
    Case("an unknown method", ("2025",), 200, METHOD_NOT_FOUND, body=message("no/such")),
    Case(
        "an unknown method",
        ("2026",),
        404,
        METHOD_NOT_FOUND,
        {"mcp-method": "no/such"},
        message("no/such", _meta=ENVELOPE),
    ),
    Case("an unknown tool", ("2025",), 200, INVALID_PARAMS, body=message("tools/call", name="x")),
    Case(
        "an unknown tool",
        ("2026",),
        400,
        INVALID_PARAMS,
        {"mcp-method": "tools/call", "mcp-name": "x"},
        message("tools/call", name="x", _meta=ENVELOPE),
    ),
    Case("parameters of the wrong type", ("2025",), 200, INVALID_PARAMS, body=message("tools/call", name=7)),
    Case("a session that is gone", ("2025",), 404, "not_found", {"mcp-session-id": "gone"}),
    Case("a session with a strange name", ("2025",), 404, "not_found", {"mcp-session-id": "\xff" * 9_000}),
    Case("no session", ("2025",), 400, INVALID_REQUEST, {"mcp-session-id": None}),
    Case(
        "a revision that is not known",
        ("2025",),
        400,
        UNSUPPORTED_PROTOCOL_VERSION,
        {"mcp-protocol-version": "1999-01-01"},
    ),
    Case(
        "a revision that is none",
        ("2025",),
        400,
        UNSUPPORTED_PROTOCOL_VERSION,
        {"mcp-protocol-version": "x" * 9_000},
    ),
    Case(
        "a batch in the revision that had them",
        ("2025",),
        400,
        INVALID_REQUEST,
        {"mcp-protocol-version": "2025-03-26"},
        b"[%b]" % message("ping"),
    ),
    Case(
        "a revision that nobody has",
        ("2026",),
        400,
        UNSUPPORTED_PROTOCOL_VERSION,
        {"mcp-protocol-version": "2999-01-01"},
        message(_meta=ENVELOPE | {"io.modelcontextprotocol/protocolVersion": "2999-01-01"}),
    ),
    Case("a header of another revision", ("2026",), 400, HEADER_MISMATCH, {"mcp-protocol-version": "x"}),
    Case("a header of another method", ("2026",), 400, HEADER_MISMATCH, {"mcp-method": "ping"}),
    Case("no header with the method", ("2026",), 400, HEADER_MISMATCH, {"mcp-method": None}),
    Case(
        "a header with another tool",
        ("2026",),
        400,
        HEADER_MISMATCH,
        {"mcp-method": "tools/call", "mcp-name": "another"},
        message("tools/call", name="run_js", arguments={"code": "1"}, _meta=ENVELOPE),
    ),
    Case("no word of the client", ("2026",), 400, INVALID_PARAMS, body=message()),
    # SSE
    Case("a stream that is gone", ("message",), 404, "not_found", path="/message?session_id=gone"),
    Case("no stream", ("message",), 400, "invalid_field", path="/message"),
    # REST
    Case("no code", ("exec",), 400, "invalid_field", body=b"{}"),
    Case("an unknown field", ("exec",), 400, "invalid_field", body=b'{"code": "1", "timeout": 1}'),
]


@pytest.mark.parametrize(
    ("case", "door"),
    [pytest.param(case, door, id=f"{door}-{case.fault}") for case in CASES for door in case.doors],
)
def test_a_fault_has_its_answer_and_the_next_request_on_the_connection_works(
    server: ServerProcess, doors: dict[str, Door], case: Case, door: str
) -> None:
    good = doors[door]
    headers = {name: value for name, value in (good.headers | case.headers).items() if value is not None}
    body = good.body if case.body is None else case.body
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(case.method, case.path or good.path, body, headers)
        used = connection.sock
        answered = connection.getresponse()
        told = content(answered)
        assert (answered.status, told) == (case.status, told)
        assert code_of(told) == case.code, told
        assert len(json.dumps(told)) < 1_000
        # a refusal that does not wait for the body costs the connection, if that comes later
        closes = answered.headers["connection"] == "close"
        assert connection.sock is (None if closes else used)
        assert not (closes and isinstance(case.code, int))
        connection.request("POST", good.path, good.body, good.headers)
        again = connection.getresponse()
        again.read()
        assert again.status == good.status
    finally:
        connection.close()


def content(answered: http.client.HTTPResponse) -> Any:
    """The JSON of an answer, or of the message on its stream."""
    text = answered.read().decode()
    if answered.headers["content-type"].startswith("text/event-stream"):
        text = next(line for line in text.splitlines() if line.startswith("data: {"))[6:]
    else:
        assert answered.headers["content-type"] == "application/json"
    return json.loads(text)


def code_of(told: Any) -> int | str:
    if "jsonrpc" in told:
        assert told["jsonrpc"] == "2.0"
        error = told["error"]
        assert error["message"]
        if "code" in (error.get("data") or ()):  # what HTTP says, in the words of JSON-RPC
            assert told["id"] is None
            assert error["code"] == (-32001 if error["data"]["code"] == "not_found" else INVALID_REQUEST)
            return str(error["data"]["code"])
        return int(error["code"])
    assert list(told) == ["error", "code", "field"]
    return str(told["code"])


@pytest.mark.parametrize("door", ALL)
def test_a_body_that_is_cut_off_costs_its_connection_and_nothing_else(
    server: ServerProcess, doors: dict[str, Door], door: str
) -> None:
    good = doors[door]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as stream:
        stream.sendall(head_of(good, len(good.body)) + good.body[:-1])
        stream.shutdown(socket.SHUT_WR)
        assert not received(stream).startswith(b"HTTP/1.1 2")
    assert works(server, good)


@pytest.mark.parametrize("door", ALL)
@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: x", b"Content-Length: -1", b"Content-Length: 1\r\nContent-Length: 2", b"no colon"],
)
def test_a_head_that_is_no_http_is_a_400_and_costs_its_connection(
    server: ServerProcess, doors: dict[str, Door], door: str, framing: bytes
) -> None:
    good = doors[door]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as stream:
        stream.sendall(b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n\r\n" % (good.path.encode(), framing))
        assert received(stream).startswith(b"HTTP/1.1 400 ")
    assert works(server, good)


@pytest.mark.parametrize("door", ALL)
def test_a_chunked_body_is_bounded_as_well(server: ServerProcess, doors: dict[str, Door], door: str) -> None:
    good = doors[door]
    chunk = b"4000\r\n%b\r\n" % (b" " * 0x4000)
    head = head_of(good, None).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as stream:
        stream.sendall(head + chunk * (MAX_BODY // 0x4000 + 1))
        assert received(stream).startswith(b"HTTP/1.1 413 ")
    assert works(server, good)


def head_of(door: Door, length: int | None) -> bytes:
    headers = door.headers if length is None else {**door.headers, "content-length": str(length)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {door.path} HTTP/1.1\r\n{lines}\r\n".encode()


def received(stream: socket.socket) -> bytes:
    data = b""
    while chunk := stream.recv(65_536):
        data += chunk
    return data


def works(server: ServerProcess, door: Door) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", door.path, door.body, door.headers)
    answered = connection.getresponse()
    answered.read()
    connection.close()
    return answered.status == door.status
