"""The texts that models read, where a real run would take too long or cannot be made to happen."""

from __future__ import annotations

import re

import pytest

from engine.errors import NotFound, StoreFailed, StoreFull
from engine.events import Caller, ErrorDetail, Line
from engine.execution import Execution, Report
from transports.mcp import text
from transports.mcp.text import Stack, refusal_text, running_text, take_apart
from transports.settings import DEFAULTS


def outcome_text(told: Report, max_chars: int = DEFAULTS.mcp_chars) -> str:
    return text.outcome_text(told, max_chars)


def report(**fields: object) -> Report:
    told = {"execution_id": "e_1", "session": "demo", "event": 13, "status": "completed", **fields}
    return Report(**told)  # type: ignore[arg-type]


def test_what_timed_out_says_which_time_was_used_up() -> None:
    error = ErrorDetail(name="TimedOut", message="timed out after 2 s of CPU time", undone=True)
    told = outcome_text(report(status="timed_out", duration_us=9_000_000, error=error))
    assert told.startswith("timed_out after 2 s of CPU time. Call undone.")


@pytest.mark.parametrize("status", ["timed_out", "cancelled", "out_of_memory", "crashed"])
def test_an_abort_tells_after_how_long_and_that_it_is_undone(status: str) -> None:
    aborted = report(status=status, duration_us=30_004_000, console=(Line("log", "begun"),))
    assert outcome_text(aborted) == f"begun\n{status} after 30 s. Call undone. [demo@13]"


@pytest.mark.parametrize("undone", [False, True])
def test_without_sessions_nothing_is_said_to_be_kept_or_undone(undone: bool) -> None:
    nowhere = {"session": None, "event": None}
    error = ErrorDetail(name="Error", message="no", undone=undone)
    assert outcome_text(report(status="failed", error=error, **nowhere)) == "Error: no"
    assert (
        outcome_text(report(status="timed_out", duration_us=1_000_000, **nowhere)) == "timed_out after 1 s."
    )


def test_a_stack_overflow_is_an_error_that_is_undone() -> None:
    error = ErrorDetail(name="StackOverflow", message="too deep", undone=True)
    told = outcome_text(report(status="failed", error=error)).splitlines()
    assert (told[0], told[-1]) == ("StackOverflow: too deep", "Call undone. [demo@13]")


def test_what_is_pending_is_told() -> None:
    assert outcome_text(report(pending=True)).startswith("=> a promise that is pending")
    assert "\n2 timers pending: they fire" in outcome_text(report(result="1", pending_timers=2))
    assert "\n1 timer pending: it fires" in outcome_text(report(result="1", pending_timers=1))


def test_without_sessions_no_timer_is_said_to_fire_later() -> None:
    told = outcome_text(report(result="1", pending_timers=1, session=None, event=None))
    assert told == "=> 1\n1 timer pending: nothing is kept, so it does not fire"


def test_characters_that_a_terminal_obeys_are_shown_as_symbols_of_the_same_length() -> None:
    console = (Line("log", "a\x1b[2Jb\r\n\tc\x9b\x7f"), Line("log", "\u202eגדול\u2069"))
    told = outcome_text(report(result="'\u2028 👩\u200d👧'", console=console))
    assert told == "a␛[2Jb␍\n\tc�␡\n�גדול�\n=> '\u2028 👩\u200d👧'\n[demo@13]"


def test_lines_that_were_dropped_are_told() -> None:
    told = outcome_text(report(result="1", console=(Line("log", "a"),), console_dropped=1_203))
    assert told == "a\n… 1,203 lines more were not kept: the console was full\n=> 1\n[demo@13]"


def test_a_long_value_is_shown_with_its_end() -> None:
    value = f"[ {'1, ' * 5_000}... 999900 more items ]"
    first, last = outcome_text(report(result=value)).splitlines()
    assert re.fullmatch(r"=> \[ (1, )+.?.?… 7,025 characters cut …[1, ]+\.\.\. 999900 more items \]", first)
    assert last == "[demo@13]"


@pytest.mark.parametrize("length", [1, 15_000, 16_000, 17_000, 1_000_000])
@pytest.mark.parametrize("most", [4_000, 16_000, 100_000])
def test_no_text_is_over_the_limit(length: int, most: int) -> None:
    lines = tuple(Line("log", "x" * length) for _ in range(3))
    error = ErrorDetail(
        name="E" * length, message="m" * length, frame="f" * length, stack="  at s\n" * length
    )
    for told in (
        report(result="r" * length, console=lines),
        report(status="failed", error=error, console=lines),
    ):
        assert len(outcome_text(told, most)) <= most


def test_a_running_call_says_what_to_do_next() -> None:
    execution = Execution("e_1", "local", caller=Caller(transport="mcp"), accepted_at=0)
    execution.session = "demo"
    execution.emit([Line("log", "a")])
    told = running_text(execution, 45.0, "[demo@12]")
    assert told.startswith("running: not over after 45 s, and it goes on as e_1. 1 console line so far.")
    assert 'get_execution_output {"execution_id":"e_1"}' in told
    assert 'cancel_execution {"execution_id":"e_1"}' in told
    assert told.endswith("[demo@12]")


def test_a_refusal_names_its_code_and_whose_fault_it_is() -> None:
    assert (
        refusal_text(NotFound("there is no session x"))
        == "not_found: there is no session x. Nothing was run."
    )
    assert (
        refusal_text(StoreFailed("the disk is full"), "[demo@12]")
        == "store_failed: the disk is full. That is the server's fault; nothing of the call is kept. [demo@12]"
    )
    assert (
        refusal_text(StoreFull("delete sessions"), "[demo@12]")
        == "store_full: delete sessions. Nothing was run. [demo@12]"
    )


def test_what_explains_an_abort_is_told() -> None:
    error = ErrorDetail(name="OutOfMemory", message="needed more than 128 MB of heap", undone=True)
    told = outcome_text(report(status="out_of_memory", duration_us=400_000, error=error))
    assert told == (
        "out_of_memory after 0.4 s: needed more than 128 MB of heap. Hold less at once, or ask for more heap "
        "with heap_memory_max_mb. Call undone. [demo@13]"
    )


STACKS = {
    "": ([], []),
    "SyntaxError: x": ([], []),
    "Error: x\n    at f (exec-1.js:1:2)\n    at exec-1.js:3:4": (["f (exec-1.js:1:2)", "exec-1.js:3:4"], []),
    "Error: x\n    at exec-1.js:1:2 {\n  code: 'E'\n}": (["exec-1.js:1:2"], ["  code: 'E'"]),
    "[AggregateError: two\nlines] {\n  [errors]: [ 1 ]\n}": ([], ["  [errors]: [ 1 ]"]),
    "Error: x\n    at a:1:2 {\n  [cause]: Error: y\n      at b:3:4\n}": (
        ["a:1:2"],
        ["  [cause]: Error: y", "      at b:3:4"],
    ),
    "[Error: x] {\n  [cause]: Error: y\n      at b:3:4\n}": ([], ["  [cause]: Error: y", "      at b:3:4"]),
}


def test_a_stack_full_of_marks_is_taken_apart_at_once() -> None:
    marks = "] {" * 400_000  # a pattern that tries them all takes hours
    assert take_apart(f"[{marks}") == Stack([], [])
    assert take_apart(f"[{marks}}}").details == [f"  {marks[3:]}"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_is_taken_apart_into_frames_and_details(stack: str) -> None:
    apart = take_apart(stack)
    assert (apart.frames, apart.details) == STACKS[stack]
