"""The tables of limits say what the program has: of every flag, and of every constant that is named here."""

from __future__ import annotations

import re

import pytest
from documents import ROOT
from test_docs_facts import rows, words

from cli.commands import exec as exec_command
from cli.commands import report
from cli.logs import QUEUE_RECORDS
from cli.options import GROUPS, SETTINGS
from cli.repl import completion, keyboard, script
from cli.report import text, views
from cluster.peers import client, door, flow, frames, handshake, line, serving
from engine import (
    admission,
    checkpointer,
    finished,
    history,
    importcheck,
    keptworkers,
    labels,
    looking,
    parsing,
    portable,
    slots,
    transfer,
)
from engine.catalog import MAX_PAGE
from engine.errors import EngineError
from engine.isolate import copy_wire, image, stack
from engine.retention import MAX_BYTES
from engine.search import MAX_TEXT_CHARS
from engine.session import NAME
from persistence import schema, sqlite
from persistence.search import PAGE_SECONDS
from transports import asgi, execute, paging, ratelimit, tokens
from transports.errors import STATUS
from transports.hypercorn_trio import limits
from transports.mcp import call, duplex, resumption, sse, streamable, tasks
from transports.mcp import console as mcp_console
from transports.mcp import sessions as mcp_sessions
from transports.mcp.tools import entry, states
from transports.rest import files, lines, session_stream, stream
from transports.rest.details import MAX_READINGS

LIMITS = ROOT / "docs" / "limits.md"
TABLES = [
    f"limit of {what}"
    for what in ("an execution", "a session", "the store", "the server", "a cluster", "a report", "a command")
]
KIB, MIB = 1 << 10, 1 << 20
FIXED = {
    "stack": stack.LIVE_BYTES,
    "its name": 128,
    "line of forks that it comes from": history.MAX_FORKS,
    "a label's key": labels.MAX_KEY_CHARS,
    "a label's value": labels.MAX_VALUE_CHARS,
    "labels of a state": labels.MAX_OF_STATE,
    "labels of a session": labels.MAX_OF_SESSION,
    "one checkpoint": copy_wire.MAX_SNAPSHOT,
    "checkpoints of its past": MAX_BYTES,
    "write-ahead log beside it, while nobody reads it for long": schema.WAL_KEPT_BYTES,
    "events that wait to be written": sqlite.MAX_QUEUED_BYTES,
    "base images in the cache": image.KEPT,
    "code and input of all these": admission.MAX_HELD_BYTES,
    "looks at the past at once, and replays by MCP, one of them an owner's": looking.MAX_LOOKS_BACK,
    "replays by REST at once, one of them an owner's": looking.MAX_WALKS,
    "answers in lines at once, half of them an owner's where there are owners": lines.MAX_STREAMS,
    "a client of such an answer that takes nothing of it": lines.STALLED_SECONDS,
    "times that an imported session was accepted": importcheck.MAX_ACCEPTED,
    "replays that were accepted in an imported session": importcheck.MAX_DIGESTS,
    "pages of searches at once, one of them an owner's": looking.MAX_SEARCHES,
    "code that is parsed at once, one text of an owner's": looking.MAX_PARSES,
    "checkpoints that are made at once": slots.AT_ONCE,
    "of these, such that take more than 2 s": slots.LONG_AT_ONCE,
    "time for one that is asked for to be begun": looking.PATIENCE_SECONDS,
    "time to parse code by `/api/parse`": parsing.TIME_MS / 1_000,
    "time for a process that parses to come free": parsing.PATIENCE_SECONDS,
    "target and headers of a request": limits.MAX_HEAD_BYTES,
    "headers of a request in HTTP/1.1": limits.MAX_HEADERS,
    "a message in a WebSocket": limits.MAX_WEBSOCKET_MESSAGE,
    "requests that an HTTP/2 client takes back": limits.MAX_RESETS,
    "MCP connections": mcp_sessions.MAX_SESSIONS,
    "an MCP connection without a request": mcp_sessions.IDLE_SECONDS,
    "the same, if it never called a tool": mcp_sessions.UNUSED_SECONDS,
    "MCP clients over SSE": sse.MAX_STREAMS,
    "requests of one MCP client that are under way, over SSE or stdio": duplex.MAX_UNDER_WAY,
    "messages that an MCP connection keeps for [resumption](mcp.md#resumption)": resumption.MAX_EVENTS,
    "their size": resumption.MAX_BYTES,
    "the same of all connections": resumption.MAX_ALL_BYTES,
    "time after which a call over MCP returns its handle": call.CALL_SECONDS,
    "time after which it is a [task](mcp.md#tasks), for clients that know tasks": tasks.TASK_SECONDS,
    "console that is told at once while code runs": mcp_console.MAX_CHARS,
    "time for answers over MCP to leave when the server ends": streamable.ANSWER_SECONDS,
    "event streams": stream.MAX_STREAMS,
    "followers of sessions": session_stream.MAX_STREAMS,
    "one line of it": portable.MAX_LINE_BYTES,
    "memory that unpacking it may need": 1 << portable.WINDOW_LOG,
    "time for it to arrive": files.UPLOAD_SECONDS,
    "imports at once, one of them an owner's": transfer.MAX_IMPORTS,
    "imports and exports at once": files.MAX_STREAMS,
    "time for a body to arrive": asgi.BODY_SECONDS,
    "time for a client to read what it is sent": limits.SEND_TIMEOUT,
    "wait for an execution": execute.DEFAULT_WAIT,
    "wait that a request can ask for": execute.MAX_WAIT,
    "entries of a list's page": MAX_PAGE,
    "a text that is searched for": MAX_TEXT_CHARS,
    "time after which a page of a search ends": PAGE_SECONDS,
    "readings of the clock that an event in full tells, and timers": MAX_READINGS,
    "page of a console": paging.MAX_PAGE_BYTES,
    "clients whose requests are counted": ratelimit.MAX_CLIENTS,
    "the file of tokens": tokens.MAX_FILE_BYTES,
    "entries in a result of another tool": entry.MAX_LIMIT,
    "characters of variables in one": states.MAX_SHOWN_CHARS,
    "what a client says of itself, each": execute._MAX_CALLER,
    "outcomes that a stateless server remembers": finished.KEPT,
    "their texts": finished.KEPT_BYTES,
    "how long it remembers them": finished.KEPT_SECONDS,
    "executions that share a process, one after the other": keptworkers.MOST_RUNS,
    "memory that it may hold more than a fresh one": keptworkers.MOST_BYTES,
    "time that it may be idle": keptworkers.IDLE_SECONDS,
    "time for a new context": keptworkers.RENEW_SECONDS,
    "log lines that wait for a slow reader of stderr": QUEUE_RECORDS,
    "calls that one node has under way at another": serving.MAX_CALLS,
    "one message of a call": frames.MAX_PAYLOAD,
    "what of a call waits unread, in one direction": flow.WINDOW,
    "time for a connection to another node": client.CONNECT_SECONDS,
    "time for both to prove that they know the secret": handshake.HANDSHAKE_SECONDS,
    "connections at once that have not proved it yet": door.MAX_STRANGERS,
    "silence of a node on its connection": line.SILENT_SECONDS,
    "its events": report.MAX_EVENTS,
    "characters of each of their texts": text.MOST_CHARS,
    "lines of each": text.MOST_LINES,
    "characters of all texts": text.PAGE_CHARS,
    "what of each is shown in any case": text.LEAST_CHARS,
    "variables that an event adds, removes or changes, each": views.MOST_BINDINGS,
    "code that `exec` reads from a file or from stdin": exec_command.MAX_CODE_BYTES,
    "a statement that `repl` reads from a pipe": script.MAX_STATEMENT_CHARS,
    "what `repl` may take to complete a name": completion.SECONDS,
    "names of properties that it offers": completion.MAX_NAMES,
    "lines of its history that are kept for the next time": keyboard.MAX_LINES,
}
"""What no flag sets, by the first cell of its row."""
UNITS = {"KiB": KIB, "MiB": MIB, "Mi": MIB}

ALL = [row for table in TABLES for row in rows(LIMITS, table)]


def flags(row: list[str]) -> list[str]:
    return [word for word in words(row[2]) if word.startswith("--")]


def number(cell: str) -> float:
    """The number in a cell, in the smallest unit: ``64 MiB`` is 64 * 2**20."""
    shown, *unit = cell.replace(",", "").split()
    return float(shown) * UNITS.get(unit[0] if unit else "", 1)


@pytest.mark.parametrize("row", [row for row in ALL if flags(row)], ids=lambda row: row[0])
def test_the_default_of_a_flag_is_the_one_that_is_shown(row: list[str]) -> None:
    (flag,) = flags(row)
    default = SETTINGS[flag[2:].replace("-", "_")].default
    if default is None:
        assert row[1] == "by memory"
    else:
        assert float(row[1].replace(",", "").split()[0]) == float(default)


def test_every_flag_that_limits_something_is_there() -> None:
    known = {option.opts[0] for title in GROUPS if title.startswith("Limits") for option in GROUPS[title]}
    known |= {"--max-store-mb", "--session-ttl", "--max-workers"}
    assert {flag for row in ALL for flag in flags(row)} == known


def test_what_no_flag_sets_is_as_shown() -> None:
    fixed = {row[0]: number(row[1]) for row in ALL if not flags(row)}
    assert fixed == FIXED
    assert NAME.fullmatch("x" * FIXED["its name"])
    assert not NAME.fullmatch("x" * (FIXED["its name"] + 1))
    assert checkpointer.COPY_SECONDS > 0


def test_every_refusal_that_is_shown_is_one() -> None:
    def family(kind: type[EngineError]) -> set[type[EngineError]]:
        return {kind}.union(*map(family, kind.__subclasses__()))

    # of the HTTP server itself, of MCP, and of the gate
    known = {("timeout", 408), ("too_large", 431), ("busy", 503), ("too_many_requests", 429)}
    for kind in family(EngineError):
        status = next(STATUS[base] for base in kind.__mro__ if base in STATUS)
        known.add((kind.code, status))
    shown = {
        (code, int(status)) for row in ALL for status, code in re.findall(r"(\d{3}) `([a-z_]+)`", row[3])
    }
    assert shown <= known
    assert len(shown) >= 7
