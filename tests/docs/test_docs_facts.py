"""The tables in the documents list what the program has, no more and no less."""

from __future__ import annotations

import logging
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
import trio
from documents import ROOT, Shown, fenced
from mcp import Client
from server_process import COMMAND, running

from cli.executionlog import ExecutionLog
from cli.logformat import FIELDS as LOG_FIELDS
from engine import recovery
from engine.errors import BlobError, Elsewhere, EngineError
from engine.events import Caller, ErrorDetail
from engine.execution import Execution, Report
from engine.isolate import native
from persistence.s3 import journal
from transports import errors as http_errors
from transports.answer import Answer
from transports.metrics import Metrics
from transports.request import FIELDS
from transports.rest.application import all_routes
from transports.settings import DEFAULTS

API = ROOT / "docs" / "api.md"
MCP = ROOT / "docs" / "mcp.md"
OPERATIONS = ROOT / "docs" / "operations.md"
BINDING = ROOT / "docs" / "v8-binding.md"


def rows(document: Path, first_column: str) -> list[list[str]]:
    """The cells of every table that has ``first_column`` as the heading of its first column."""
    return rows_of(document.read_text(), first_column)


def rows_of(text: str, first_column: str) -> list[list[str]]:
    """The same of a part of a document."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == first_column:
            inside = True
        elif inside and not cells[0].startswith("---"):
            found.append(cells)
    return found


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def flags_of_help() -> dict[str, str]:
    """Every flag of ``mcp-v8 --help`` with its default as shown there, else an empty string."""
    told = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, timeout=60, check=True)
    options = told.stdout.partition("Serving:")[2].partition("Commands:")[0]
    found = {}
    for part in re.split(r"^  (?:-h, )?(?=--)", options, flags=re.MULTILINE)[1:]:
        text = " ".join(part.split())
        default = re.search(r"\[default: ([^;\]]*)", text)
        found[text.split()[0]] = default[1] if default else ""
    return found


def test_operations_lists_every_flag_with_its_default() -> None:
    known = flags_of_help()
    del known["--help"]
    documented = {words(name)[0]: default for name, _, default in rows(OPERATIONS, "flag")}
    assert set(documented) == set(known)
    for flag, default in known.items():
        shown = documented[flag].replace("`", "").replace(",", "")
        if re.fullmatch(r"\d+(\.\d+)?", default):
            assert float(shown.split()[0]) == float(default), flag
        elif default and default != '""':
            assert shown.startswith(default.split(",")[0]), flag


def test_operations_lists_every_field_of_an_execution_s_log_line(caplog: pytest.LogCaptureFixture) -> None:
    told = {"transport": "rest", "client": "c", "client_version": "1", "subject": "s"}
    caller = Caller(**told, request_id="r", traceparent="t")
    execution = Execution("e_1", "local", caller=caller, accepted_at=0)
    execution.held_us, execution.death = 1_000, "killed"
    error = ErrorDetail(name="E", message="m", undone=True)
    execution.finish(Report(execution_id="e_1", session="a", event=1, status="failed", error=error))
    with caplog.at_level(logging.INFO):
        ExecutionLog().executed(execution)
    known = list(getattr(caplog.records[0], LOG_FIELDS))
    assert [words(row[0])[0] for row in rows(OPERATIONS, "field of the line")] == known
    shown = msgspec.json.decode(fenced(OPERATIONS, "json")[0])
    assert list(shown) == ["time", "level", "logger", "event", *(name for name in known if name in shown)]


def family(kind: type[EngineError]) -> set[type[EngineError]]:
    return {kind}.union(*map(family, kind.__subclasses__()))


def status_of(kind: type[EngineError]) -> int:
    return next(http_errors.STATUS[base] for base in kind.__mro__ if base in http_errors.STATUS)


def test_api_lists_every_error_code_with_its_status() -> None:
    kinds = family(EngineError)
    assert {recovery.Diverged, journal.Fenced} <= kinds, "not all modules with errors have been imported"
    at_start_only = {"store_locked", "platform_refused", "duplicate_node", "cluster_refused"}
    offline_only = {"store_missing", "store_read_only"}  # a server has a store, and owns it
    # those of blobs cost a checkpoint; which node has a session is between the nodes
    kept_inside = {kind.code for kind in family(BlobError)} | {Elsewhere.code}
    known = {
        (kind.code, status_of(kind))
        for kind in kinds
        if kind.code not in at_start_only | offline_only | kept_inside
    }
    for module in (ROOT / "transports").rglob("*.py"):
        source = module.read_text()
        for answered in re.finditer(r"answer\(\s*(\d{3}),.*?\"([a-z_]+)\"(?:,|\))", source, re.DOTALL):
            known.add((answered[2], int(answered[1])))
    known.add(("method_not_allowed", 405))
    documented = {(code, int(row[0])) for row in rows(API, "status") for code in words(row[1])}
    assert documented == known


def test_api_lists_every_field() -> None:
    assert {words(row[0])[0] for row in rows(API, "field")} == set(FIELDS)
    answered = [name for row in rows(API, "field of the answer") for name in words(row[0])]
    assert answered == list(Answer.__struct_fields__)


def test_api_lists_every_route() -> None:
    routes = all_routes(None, DEFAULTS, failing=lambda: None, metrics=Metrics())  # type: ignore[arg-type]
    known = {f"{route.method} {route.path}" for route in routes} - {"POST /api/exec"}
    known.add("WS /api/sessions/{name}/stream")  # of which OpenAPI knows nothing
    assert {word for row in rows(API, "request") for word in words(row[0])} == known


def test_the_binding_document_names_the_versions_and_flags_in_use() -> None:
    text = BINDING.read_text()
    for value in (native.MINI_RACER_VERSION, native.V8_VERSION, *native.FLAGS):
        assert f"`{value}`" in text


@pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)
async def test_every_run_js_text_shown_is_what_a_model_reads(tmp_path: Path) -> None:
    blocks = fenced(MCP, "run_js")
    assert blocks
    with running("--directory-path", str(tmp_path)) as server, trio.fail_after(60):
        async with Client(f"{server.url}/mcp?session=docs") as client:
            for block in blocks:
                for call in re.split(r"^run_js ", block, flags=re.MULTILINE)[1:]:
                    arguments, _, shown = call.partition("\n")
                    result = await client.call_tool("run_js", msgspec.json.decode(arguments))
                    actual = result.content[0].text  # type: ignore[union-attr]
                    assert Shown(arguments, shown).matches(actual), f"{call}\nactual: {actual}"
