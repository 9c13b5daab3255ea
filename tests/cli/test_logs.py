"""Log lines whatever is in them, and a queue that never makes the server wait."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cli import logs
from cli.executionlog import ExecutionLog
from cli.logformat import FIELDS, Format, formatter
from engine.errors import Conflict, StoreFailed
from engine.events import Caller, ErrorDetail, Line
from engine.execution import Execution, Report

HOSTILE = (
    "a\nlevel=error",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m\x85\x7f\u2028\u202e",
    'x" status="completed',
    "",
    "\udc80",
)
TRANSPORT = "\x1b[31mrest\n"


def record(message: str, fields: dict[str, object] | None = None, *args: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "args": args, "levelname": "INFO", "name": "test"})
    if fields is not None:
        setattr(made, FIELDS, fields)
    return logs.DroppingHandler().prepare(made)


def line(form: Format, made: logging.LogRecord, *, colours: bool = False) -> str:
    return formatter(form, colours=colours).format(made)


@given(st.text())
@example(HOSTILE[0])
@example(HOSTILE[1])
@example(HOSTILE[2])
@example(HOSTILE[3])
@example(HOSTILE[5])
def test_a_text_line_is_one_line_of_printable_characters_whatever_was_logged(text: str) -> None:
    told = line("text", record(text, {"client": text, "session": "demo"}))
    assert told.isprintable()
    fields = told.split(" test ", 1)[1]
    assert fields.endswith(" session=demo")
    assert fields.count(" session=") == 1 or "client='" in fields or 'client="' in fields


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example(HOSTILE[0])
@example(HOSTILE[2])
def test_a_json_line_is_one_line_of_printable_ascii_that_says_the_same(text: str) -> None:
    told = line("json", record("%s", {"client": text}, text))
    assert told.isascii()
    assert told.isprintable()
    decoded = json.loads(told)
    assert (decoded["event"], decoded["client"]) == (text[: logs.MAX_MESSAGE_CHARS], text)


def test_a_line_has_time_level_logger_and_event_first() -> None:
    fields = json.loads(line("json", record("hello", {"n": 1})))
    assert list(fields) == ["time", "level", "logger", "event", "n"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields["time"])


def test_a_text_line_has_the_same_order_and_fields_after_it() -> None:
    made = record("hello there", {"n": 1, "took_ms": 0.5, "client": "a b", "empty": "", "ok": True})
    made.created = 0.25
    expected = (
        "1970-01-01T00:00:00.250Z [info   ] hello there test n=1 took_ms=0.5 client='a b' empty='' ok=True"
    )
    assert line("text", made) == expected


def test_colours_are_the_only_escapes_of_a_line_for_terminals() -> None:
    made = record(HOSTILE[1], {"client": HOSTILE[1]})
    plain, coloured = line("text", made), line("text", made, colours=True)
    assert coloured != plain
    assert re.sub(r"\x1b\[\d*m", "", coloured) == plain


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_cannot_be_taken_for_other_lines(form: Format) -> None:
    made = logging.makeLogRecord({"msg": "boom", "name": "test"})
    try:
        int("evil\n2026-01-01 [info] forged\r\x1b[2J")
    except ValueError as error:
        error.add_note("2026-01-01 [info] forged\r\x1b[2J")
        made.exc_info = sys.exc_info()
    first, *rest = line(form, logs.DroppingHandler().prepare(made)).splitlines()
    if form == "json":
        assert "forged" in json.loads(first)["exception"]
        assert rest == []
    else:
        assert any("forged" in told for told in rest)
        assert all(told.startswith("    ") and told.isprintable() for told in rest)


def test_what_libraries_log_is_cut_to_a_bounded_length() -> None:
    told = json.loads(line("json", record("%s", None, "x" * 1_000_000)))
    assert len(told["event"]) == logs.MAX_MESSAGE_CHARS


# --- what is told of an execution ---------------------------------------------------------------


def execution(**caller: str) -> Execution:
    asked = Caller(transport="rest", **caller)
    made = Execution("e_1", "local", caller=asked, accepted_at=0)
    made.session = "demo"
    made.passed("queued_us")
    return made


def logged(made: Execution, caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    with caplog.at_level(logging.INFO):
        ExecutionLog().executed(made)
    (told,) = caplog.records
    fields = json.loads(line("json", logs.DroppingHandler().prepare(told)))
    return {**fields, "level": told.levelname}


def test_an_execution_is_one_line_with_who_what_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    made = execution(client="curl", client_version="8.5", subject="me", request_id="r1", traceparent="00-1")
    made.emit((Line("log", "one"), Line("error", "zwei ä")))
    made.timings.ran_us = 1_234
    made.finish(
        Report(
            execution_id="e_1",
            session="demo",
            event=12,
            status="failed",
            error=ErrorDetail(name="TypeError", message="the secret"),
        )
    )
    told = logged(made, caplog)
    del told["time"], told["queued_ms"]
    assert told == {
        "level": "INFO",
        "logger": "mcp_v8",
        "event": "execution",
        "status": "failed",
        "error": "TypeError",
        "session": "demo",
        "seq": 12,
        "execution_id": "e_1",
        "restored_ms": 0.0,
        "ran_ms": 1.234,
        "cpu_ms": 0.0,
        "appended_ms": 0.0,
        "console_lines": 2,
        "console_bytes": 12,
        "transport": "rest",
        "client": "curl",
        "client_version": "8.5",
        "subject": "me",
        "request_id": "r1",
        "traceparent": "00-1",
    }


@pytest.mark.parametrize(
    ("failure", "level"), [(Conflict("not there"), "INFO"), (StoreFailed("disk full"), "WARNING")]
)
def test_what_was_not_recorded_says_so_with_its_code(
    failure: Exception, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = execution()
    made.fail(failure)
    told = logged(made, caplog)
    assert (told["status"], told["error"], told["level"]) == ("unrecorded", failure.code, level)  # type: ignore[attr-defined]


def test_an_error_name_that_the_code_chose_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    made = execution()
    error = ErrorDetail(name="\x1b" * 1_000_000, message="")
    made.finish(Report(execution_id="e_1", session=None, status="failed", error=error))
    assert logged(made, caplog)["error"] == "\x1b" * 128


# --- the queue ----------------------------------------------------------------------------------


class Stuck(logs.LineWriter):
    """Writes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__(-1, logging.Formatter())
        self.lines: list[str] = []
        self.reached = threading.Event()
        self.released = threading.Event()

    def add(self, record: logging.LogRecord) -> None:
        self.reached.set()
        assert self.released.wait(20)
        self.lines.append(record.getMessage())


@contextmanager
def logger_to(writer: logs.LineWriter) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.queue")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    with logs.queued(writer) as handler:
        logger.addHandler(handler)
        try:
            yield logger
        finally:
            logger.removeHandler(handler)


def test_a_slow_reader_costs_lines_which_are_counted_and_no_time() -> None:
    stuck = Stuck()
    with logger_to(stuck) as logger:
        logger.info("first")
        assert stuck.reached.wait(20)
        for number in range(logs.QUEUE_RECORDS + 7):
            logger.info("%d", number)
        stuck.released.set()
    assert stuck.lines[:2] == ["first", "0"]
    assert stuck.lines[-2] == str(logs.QUEUE_RECORDS - 1)
    assert stuck.lines[-1] == "7 log lines were dropped: stderr is read too slowly"


def test_after_dropping_lines_are_taken_again_once_the_queue_is_half_empty() -> None:
    handler = logs.DroppingHandler()
    for number in range(logs.QUEUE_RECORDS + 3):
        handler.handle(logging.makeLogRecord({"msg": str(number)}))
    for _ in range(logs.QUEUE_RECORDS // 2):
        handler.queue.get_nowait()
    handler.handle(logging.makeLogRecord({"msg": "dropped too"}))
    handler.queue.get_nowait()
    handler.handle(logging.makeLogRecord({"msg": "taken"}))
    rest = []
    while not handler.queue.empty():
        queued = handler.queue.get_nowait()
        assert queued is not None
        rest.append(queued.getMessage())
    assert rest[-2:] == ["4 log lines were dropped: stderr is read too slowly", "taken"]


def test_a_reader_that_never_reads_does_not_keep_the_server_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0.01)
    stuck = Stuck()
    with logger_to(stuck) as logger:
        logger.info("first")
        assert stuck.reached.wait(20)
    assert stuck.lines == []
    stuck.released.set()


def test_what_was_logged_is_written_out_at_the_end() -> None:
    reading, writing = os.pipe()
    with logger_to(logs.LineWriter(writing, logging.Formatter())) as logger:
        for number in range(150):
            logger.info("%d", number)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read().splitlines() == [str(number) for number in range(150)]


def test_lines_are_written_whole_where_the_descriptor_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            received.append(pipe.read())

    reader = threading.Thread(target=read)
    with logger_to(logs.LineWriter(writing, logging.Formatter())) as logger:
        for _ in range(100):
            logger.info("%s", "x" * logs.MAX_MESSAGE_CHARS)  # more than a pipe holds
        reader.start()
    os.close(writing)
    reader.join(20)
    assert received[0] == (b"x" * logs.MAX_MESSAGE_CHARS + b"\n") * 100


def test_nothing_happens_where_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with logger_to(logs.LineWriter(writing, logging.Formatter())) as logger:
        logger.info("into the void")
    os.close(writing)


def test_a_record_that_cannot_be_formatted_is_told_and_the_next_is_written() -> None:
    class Picky(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            if record.msg == "bad":
                raise ValueError("\x1b no")
            return super().format(record)

    reading, writing = os.pipe()
    with logger_to(logs.LineWriter(writing, Picky())) as logger:
        logger.info("bad")
        logger.info("good")
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told, good = pipe.read().splitlines()
    assert "could not be formatted: ValueError('\\x1b no')" in told
    assert good == "good"
