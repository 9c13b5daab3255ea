"""What every door must make of an execution, whatever it came to."""

from __future__ import annotations

import logging
from typing import Any, Final

from mcp_types import CallToolResult, TextContent

from cli import executionlog
from cli.logformat import FIELDS, formatter
from engine.execution import Execution
from fuzz import jsons
from transports import answer
from transports.mcp.run_js import META_KEY
from transports.mcp.text import outcome_text
from transports.rest import stream

CONSOLE_BYTES: Final = 2_000
MCP_CHARS: Final = 4_000
"""The smallest that an operator can choose."""
FORMATTERS: Final = (formatter("text", colours=False), formatter("json", colours=False))


def check_json(body: bytes) -> Any:
    """A body is one JSON text; its value, or None if it is too deep for Python."""
    try:
        return jsons.strict(body)
    except RecursionError:
        return None


def check_execution(execution: Execution) -> None:
    """An execution that is over is told in full, in every form."""
    assert execution.report is not None
    _check_rest(execution)
    _check_stream(execution)
    _check_mcp(execution)
    _check_log(execution)


def _check_rest(execution: Execution) -> None:
    assert execution.report is not None
    told = check_json(answer.encode(execution, CONSOLE_BYTES))
    if told is not None:
        assert told["execution_id"] == execution.id
        assert told["result"] == execution.report.result
        assert len(told["output"].encode()) <= CONSOLE_BYTES


def _check_stream(execution: Execution) -> None:
    """The last event of a stream is one event, with the same object."""
    end = stream._end(execution, CONSOLE_BYTES)
    assert end.endswith(b"\n\n")
    assert end.count(b"\n") == 4, "the stream's last event is torn apart"
    assert b"\r" not in end, "the stream's last event is torn apart"
    for number, line in enumerate(execution.console[:8]):
        told = stream._line(number, line, provisional=False)
        assert told.count(b"\n") == 4
        assert b"\r" not in told


def _check_mcp(execution: Execution) -> None:
    assert execution.report is not None
    text = outcome_text(execution.report, MCP_CHARS)
    assert len(text) <= MCP_CHARS, f"a text of {len(text)} characters"
    assert text.endswith("[demo@1]")
    meta = {META_KEY: answer.as_object(execution, CONSOLE_BYTES)}
    check_json(
        CallToolResult(content=[TextContent(text=text)], is_error=False, _meta=meta)
        .model_dump_json(by_alias=True)
        .encode()
    )


def _check_log(execution: Execution) -> None:
    """One line, of printable characters, whatever the code called its errors."""
    said = {
        "name": "mcp_v8",
        "levelname": "INFO",
        "msg": "execution",
        FIELDS: executionlog._execution(execution),
    }
    for form in FORMATTERS:
        assert form.format(logging.makeLogRecord(said)).isprintable()
