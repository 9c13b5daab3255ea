"""MCP requests as raw HTTP: of a session (2025), and without one (2026)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus

from benchmarks import load

PATH = "/mcp"
WITH_SESSIONS = "2025-11-25"
SESSIONLESS = "2026-07-28"
ACCEPT = "application/json, text/event-stream"
CLIENT = {"name": "benchmark", "version": "1"}


def initialize() -> str:
    """The request that opens a session."""
    params = {"protocolVersion": WITH_SESSIONS, "capabilities": {}, "clientInfo": CLIENT}
    return _post("initialize", params, accept=ACCEPT)


def open_session(port: int) -> str:
    """The id of a session after a whole handshake. Raises LoadError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=load.PATIENCE)
    try:
        _, _, body = initialize().partition("\r\n\r\n")
        headers = {"Content-Type": "application/json", "Accept": ACCEPT}
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        answer.read()
        session = answer.getheader("Mcp-Session-Id")
        if answer.status != HTTPStatus.OK or session is None:
            raise load.LoadError(f"no MCP session was opened: {answer.status}")
        headers |= {"Mcp-Session-Id": session, "Mcp-Protocol-Version": WITH_SESSIONS}
        told = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})
        connection.request("POST", PATH, told, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != HTTPStatus.ACCEPTED:
            raise load.LoadError(f"an MCP session was not begun: {answer.status}")
    finally:
        connection.close()
    return session


def listen(mcp_session: str) -> str:
    """The request for the stream of what a server tells on its own."""
    return load.get(
        PATH, accept="text/event-stream", mcp_session_id=mcp_session, mcp_protocol_version=WITH_SESSIONS
    )


def call(mcp_session: str, code: str, session: str) -> str:
    """A call of ``run_js`` in a session of MCP's."""
    return _post(
        "tools/call",
        {"name": "run_js", "arguments": {"code": code, "session": session}},
        accept=ACCEPT,
        mcp_session_id=mcp_session,
        mcp_protocol_version=WITH_SESSIONS,
    )


def sessionless_call(code: str, session: str) -> str:
    """The same in a request that stands for itself."""
    prefix = "io.modelcontextprotocol"
    about = {
        f"{prefix}/protocolVersion": SESSIONLESS,
        f"{prefix}/clientInfo": CLIENT,
        f"{prefix}/clientCapabilities": {},
    }
    return _post(
        "tools/call",
        {"name": "run_js", "arguments": {"code": code, "session": session}, "_meta": about},
        accept=ACCEPT,
        mcp_protocol_version=SESSIONLESS,
        mcp_method="tools/call",
        mcp_name="run_js",
    )


def _post(method: str, params: Mapping[str, object], **headers: str) -> str:
    """JSON-RPC; its id is another one each time that it is sent by ``load``."""
    message = {"jsonrpc": "2.0", "id": load.COUNTER.decode(), "method": method, "params": params}
    return load.post(message, PATH, **headers)
