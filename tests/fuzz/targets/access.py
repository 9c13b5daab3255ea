"""Who may come in, and with what: files of tokens, headers that the gate looks at, messages of MCP."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import trio
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter
from msgspec import UNSET
from msgspec.structs import replace
from pydantic import ValidationError

from fuzz import answers, jsons
from fuzz.data import Data
from transports.gate import Gate
from transports.identity import SCOPE_KEY
from transports.mcp.envelope import Malformed, open_envelope
from transports.settings import DEFAULTS
from transports.tokens import BrokenTokens, TokenFile, line, parse

_TOKEN: Final = "token-of-alice-0001"
_WORDS: Final = (
    _TOKEN,
    "token-of-bob/00002+~==",
    line(_TOKEN, "alice").split()[0],
    "sha256:",
    "0" * 64,
    "alice",
    "laptop",
    "short",
    "x" * 600,
    "#",
)
_SPACE: Final = (" ", "\t", "\n", "\r\n", "\n", "\x0b", "\x1c", "\u2028", "")
_HEADERS: Final = (
    b"host",
    b"origin",
    b"authorization",
    b"access-control-request-method",
    b"sec-websocket-protocol",
)
_VALUES: Final = (
    f"Bearer {_TOKEN}",
    f"bearer  {_TOKEN}",
    f"Bearer {_TOKEN[:-1]}",
    f"Basic {_TOKEN}",
    "Bearer",
    "localhost",
    "localhost:8080",
    "evil.example",
    "[::1]:80",
    "http://localhost",
    "https://app.example",
    "https://evil.example",
    "null",
    "POST",
)
_OFFERS: Final = ("mcp-v8", f"bearer.{_TOKEN}", "bearer.", "bearer.x y", "chat")
_PATHS: Final = ("/mcp", "/api/exec", "/healthz", "/", "/.well-known/x", "/.well-known", "//healthz")
_IDS: Final = ("1", '"a"', "null", "1.0", "1.5", "{}", "true", "[]", "-1", "9" * 30)


def tokens(raw: bytes) -> None:
    """A file names owners, or is refused in a sentence that tells no token."""
    data = Data(raw)
    text = "".join(
        (data.choose(_WORDS) if data.byte() % 4 else data.text()) + data.choose(_SPACE)
        for _ in range(data.byte() % 16)
    )
    try:
        found = parse(text)
    except BrokenTokens as broken:
        sentence = str(broken)
        assert len(sentence) < 300
        assert sentence.isprintable()
        assert _TOKEN not in sentence
        return
    for word in text.split():
        who = found.identity(word)
        assert who is None or (who.owner in text and who.subject in text)
        assert who is None or not word.startswith("sha256:"), "a hash lets nobody in"


@functools.cache
def _gate() -> Gate:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:  # which others may not read
        file.write(f"{_TOKEN} alice laptop\n".encode())
        file.flush()
        known = TokenFile(Path(file.name))
    settings = replace(DEFAULTS, requests_per_second=0, allowed_origins=("https://app.example",))
    return Gate(_inner, settings, known)


async def _inner(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001
    kind = "websocket.accept" if scope["type"] == "websocket" else "http.response.start"
    await send({"type": kind, "status": 200, "headers": [], "who": scope.get(SCOPE_KEY)})


def gates(raw: bytes) -> None:
    """A request goes on as its token's owner, or has an answer that says why not."""
    data = Data(raw)
    headers = [] if data.rarely() else [(b"host", b"localhost")]
    for _ in range(data.byte() % 4):
        value = data.choose(_VALUES) if data.byte() % 4 else data.text()[:100]
        headers.append((data.choose(_HEADERS), _header(value)))
    scope = {
        "type": data.choose(("http", "websocket")),
        "method": data.choose(("GET", "POST", "OPTIONS")),
        "path": data.choose(_PATHS) if data.byte() % 4 else data.text()[:100],
        "headers": headers,
        "client": data.choose((("127.0.0.1", 1), ("::1", 1), ("", 0), None)),
        "subprotocols": [data.choose(_OFFERS) for _ in range(data.byte() % 3)],
    }
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    trio.run(_gate(), scope, trio.lowlevel.checkpoint, send)
    start, *rest = sent
    given = [value for name, value in headers if name == b"authorization"]
    offered = [f"bearer.{_TOKEN}"] if scope["type"] == "websocket" else []
    if who := start.get("who"):
        assert (who.owner, who.subject) == ("alice", "laptop")
        assert any(_TOKEN.encode() in value for value in given) or set(offered) & set(scope["subprotocols"])
    if all(_TOKEN.encode() not in value for name, value in headers if name in (b"host", b"origin")):
        assert _TOKEN not in repr(sent)
    for name, value in start.get("headers", ()):
        assert not {10, 13} & set(name + value), "a header of its own"
    if start.get("status", 200) >= 400:
        assert start["status"] in (400, 401, 403, 421)
        told = answers.check_json(rest[0]["body"])
        error = told["error"]
        assert error["code"] if isinstance(error, dict) else told["code"]  # the former for MCP


def _header(text: str) -> bytes:
    """A header's value, as the HTTP server lets it through."""
    return text.translate({10: None, 13: None, 0: None}).encode("latin1", "replace")


def messages(raw: bytes) -> None:
    """A message has an envelope that the SDK reads alike, or is refused with a JSON-RPC error."""
    data = Data(raw)
    members = []
    for name, usual in (("jsonrpc", '"2.0"'), ("id", None), ("method", '"tools/list"'), ("params", "{}")):
        match data.byte() % 8:
            case 0:
                members.append(f'"{name}":{jsons.text(data)}')
            case 1:
                pass
            case _:
                members.append(f'"{name}":{usual or data.choose(_IDS)}')
    if data.rarely():
        members.append(f"{jsons.text(data)}:{jsons.text(data)}")
    message = ("{" + ",".join(members) + "}" if data.byte() % 8 else jsons.text(data)).encode(
        "utf-8", "surrogatepass"
    )
    try:
        envelope = open_envelope(message)
    except Malformed as malformed:
        answer = malformed.answer
        told = jsons.strict(answer)
        assert told["error"]["code"] in (-32700, -32600)
        assert len(answer) < 1_000
        return
    if envelope.method is not UNSET and envelope.id is not UNSET:
        try:
            request = jsonrpc_message_adapter.validate_python(json.loads(message), by_name=False)
        except ValidationError:  # the SDK answers that
            return
        assert isinstance(request, JSONRPCRequest), "it would be taken for a notification"
