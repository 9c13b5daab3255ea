"""``mcp-v8 state``, ``diff`` and ``bisect``: what a session knew, what changed, and since when."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
from engines import opened
from server_process import ServerProcess
from typed import COLOUR, in_terminal, piped

from cli.commands.bisect import Search, bisect
from cli.commands.diff import diff
from cli.commands.state import state
from cli.target.client import Client, Response
from cli.target.comparing import compare
from cli.target.point import Point
from cli.target.store import open_store
from persistence.place import Directory
from transports.identity import LOCAL
from transports.rest.past_shapes import EvaluatedAnswer

CODES = (
    "let n = 1; const deep = { a: { b: { c: { d: 1 } } } }; function f() { return 1 }; globalThis.was = 'here'",
    "n++; deep.a.b.c.d = 2",
    "for (;;);",
    "n++; function f() { return 2 }; delete globalThis.was; globalThis.now = [1, 2]",
    "const text = Array.from({ length: 30 }, (_, i) => `line ${i}`).join('\\n'); n++",
    "var rows = Array.from({ length: 100 }, (_, i) => ({ id: i })); n++",
    "rows[70].id = 'changed'; n++",
)
"""The third is undone."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """A store with session "a", which has these as its events 1 to 7, "b" and an empty one, "e"."""
    directory = tmp_path_factory.mktemp("store")

    async def record() -> None:
        async with opened(directory, cache_dir) as engine:
            for code in CODES:
                await engine.run(code, session="a", owner=LOCAL.owner, time_ms=500)
            await engine.run(
                "let n = 2; console.log('\x1b[2J'); globalThis['\x1b]0;x\x07'] = '\x1b[31m'",
                session="b",
                owner=LOCAL.owner,
            )
            await engine.run("1", session="e", owner=LOCAL.owner)

    trio.run(record)
    return directory


# --- state ---------------------------------------------------------------------------------------


def test_variables_are_a_table_with_scope_type_and_value(where: tuple[str, str]) -> None:
    assert piped("state", "a@2", *where).lines == [
        "NAME  SCOPE   TYPE      VALUE",
        "n     let     number    2",
        "deep  let     Object    { a: { b: [Object] } }",
        "f     global  function  [Function: f]",
        "was   global  string    'here'",
    ]
    assert piped("state", "a@3", *where).out == piped("state", "a@2", *where).out  # 3 was undone


def test_values_are_cut_to_the_terminal_unless_they_are_wanted_in_full(store: Path) -> None:
    told = in_terminal("state", "a", "--directory-path", store, columns=60)
    assert max(len(COLOUR.sub("", line)) for line in told.out.splitlines()) <= 60
    assert "\x1b[36m6\x1b[0m" in told.out
    full = in_terminal("state", "a", "--full", "--directory-path", store, columns=60)
    assert "{ id: 46 }" in COLOUR.sub("", full.out)


def test_an_expression_has_a_value_there_and_changes_nothing(where: tuple[str, str]) -> None:
    assert piped("state", "a@1", "n = n + 40", *where).out == "41\n"
    assert piped("state", "a@1", "n", *where).out == "1\n"
    assert piped("state", "a@6", "rows.length", *where).out == "100\n"
    assert piped("state", "a", "console.log('n', n); undefined", *where).out == "n 6\nundefined\n"
    assert piped("state", "a", "new Promise(() => {})", *where).out == "a promise that is pending\n"


def test_an_expression_that_fails_says_where(where: tuple[str, str]) -> None:
    told = piped("state", "a", "n.x.y", *where, status=1)
    assert (told.out, told.err.splitlines()) == (
        "",
        ["TypeError: Cannot read properties of undefined (reading 'y')", "> 1 | n.x.y", "    |     ^"],
    )
    assert piped("state", "a", "n.(", *where, status=1).err.startswith("SyntaxError: ")
    told = piped("state", "a", "for (;;);", "--timeout", "0.3", *where, status=1)
    assert told.err == "TimedOut: timed out after 0.3 s\n"


def test_states_and_values_as_json_are_those_of_the_server(where: tuple[str, str]) -> None:
    told = msgspec.json.decode(piped("state", "a@1", "--json", *where).out)
    assert told["globals"][0] == {"name": "n", "scope": "lexical", "type": "number", "preview": "1"}
    told = msgspec.json.decode(piped("state", "a@1", "({ n })", "--json", *where).out)
    assert (told["status"], told["result_json"], told["event"]) == ("completed", {"n": 1}, 1)


def test_a_session_without_variables_says_so(where: tuple[str, str]) -> None:
    told = piped("state", "e", *where)
    assert (told.out, told.err) == ("", "mcp-v8: e@1 has no variables\n")


@pytest.mark.parametrize(
    "arguments", [("state", "x"), ("state", "a@9"), ("state", "x", "1"), ("diff", "a@1", "x")]
)
def test_what_there_is_not_is_not_found(arguments: tuple[str, ...], where: tuple[str, str]) -> None:
    told = piped(*arguments, *where, status=3)
    assert re.fullmatch(r"mcp-v8: (there is no session x|this session has no event 9)\n", told.err)


def test_nothing_that_code_left_steers_the_terminal(store: Path) -> None:
    for arguments in (
        ("state", "b"),
        ("state", "b", "console.log('\x1b[2J'); '\x1b[1m'"),
        ("diff", "b@0", "b"),
    ):
        shown = in_terminal(*arguments, "--directory-path", store, status=int(arguments[0] == "diff")).out
        assert "\x1b" not in COLOUR.sub("", shown)
        assert "\x07" not in shown


# --- diff ----------------------------------------------------------------------------------------


def test_what_changed_is_shown_with_values_of_any_depth_and_functions_by_their_text(
    where: tuple[str, str],
) -> None:
    assert piped("diff", "a@1", "a@4", *where, status=1).lines == [
        "--- a@1",
        "+++ a@4",
        "- was = 'here'",
        "+ now = [ 1, 2 ]",
        "~ n  1 → 3",
        "~ deep",
        "    @@ -1,3 +1,3 @@",
        "      {",
        "    -   a: { b: { c: { d: 1 } } }",
        "    +   a: { b: { c: { d: 2 } } }",
        "      }",
        "~ f  function f() { return 1 } → function f() { return 2 }",
        "0 variables alike",
    ]


def test_what_previews_do_not_reach_is_compared_all_the_same(where: tuple[str, str]) -> None:
    told = piped("diff", "a@6", *where, status=1).lines
    assert told[:5] == ["--- a@6", "+++ a@7", "~ n  5 → 6", "~ rows", "    @@ -69,5 +69,5 @@"] or (
        told[3] == "~ rows" and any("changed" in line for line in told)
    )
    assert "    +   { id: 'changed' }," in "\n".join(told) or any(
        "+" in line and "'changed'" in line for line in told
    )


def test_states_that_are_alike_differ_in_nothing(where: tuple[str, str]) -> None:
    told = piped("diff", "a@2", "a@3", *where)  # 3 was undone
    assert told.lines == ["--- a@2", "+++ a@2", "4 variables alike"]


def test_two_sessions_are_compared(where: tuple[str, str]) -> None:
    told = msgspec.json.decode(piped("diff", "a@2", "b", "--json", *where, status=1).out)
    assert (told["a"], told["b"]) == ("a@2", "b@1")
    assert [one["name"] for one in told["changes"]["removed"]] == ["deep", "f", "was"]
    assert (told["changes"]["changed"], told["changes"]["same"], told["notes"]) == ([], 1, [])


async def test_what_is_too_large_to_be_printed_is_compared_by_its_previews_and_said_so(
    tmp_path: Path, cache_dir: Path
) -> None:
    async with opened(tmp_path, cache_dir) as engine:
        for code in (
            "let big = 'y'.repeat(70_000), other = 'y'.repeat(60_000)",
            "big += 'z'; other += 'z'",
        ):
            await engine.run(code, session="a", owner=LOCAL.owner)
    async with open_store(Directory(tmp_path), owner=None, use="look") as (client,):
        assert isinstance(client, Client)
        found = await compare(client, Point("a", 1), Point("a", 2))
    assert found.notes == ["big is compared as far as its previews show it: there is too much"]
    assert [pair.before.name for pair in found.changes.changed] == ["other"]


async def test_a_console_that_the_session_replaced_costs_only_long_values(
    tmp_path: Path, cache_dir: Path
) -> None:
    async with opened(tmp_path, cache_dir) as engine:
        for code in ("let n = 1; const deep = [[[[1]]]]; console = null", "n++; deep[0][0][0][0] = 2"):
            await engine.run(code, session="a", owner=LOCAL.owner)
    async with open_store(Directory(tmp_path), owner=None, use="look") as (client,):
        found = await compare(client, Point("a", 1), Point("a", 2))
    assert [pair.before.name for pair in found.changes.changed] == ["n"]
    assert found.notes[0].startswith("long values are compared as far as previews show them: TypeError: ")


# --- bisect --------------------------------------------------------------------------------------


def test_the_first_event_after_which_it_holds_is_found(where: tuple[str, str]) -> None:
    told = piped("bisect", "a", "n >= 4", *where)
    assert told.out == "a@5\n"
    how, line = told.err.splitlines()
    assert re.fullmatch(r"found, by \d evaluations:", how)
    assert line.startswith("5  ")
    assert "const text" in line


@pytest.mark.parametrize("wanted", [0, 1, 2, 4, 5, 6, 7])
def test_it_takes_one_evaluation_more_than_halvings_at_most(wanted: int, store: Path) -> None:
    since = {0: "true", 1: "n > 0", 2: "n > 1", 4: "n > 2", 5: "n > 3", 6: "n > 4", 7: "n > 5"}[wanted]
    told = msgspec.json.decode(piped("bisect", "a", since, "--json", "--directory-path", store).out)
    assert told["event"] == wanted
    assert told["evaluations"] <= math.ceil(math.log2(len(CODES) + 1)) + 1


def test_what_throws_does_not_hold_and_each_step_can_be_seen(where: tuple[str, str]) -> None:
    told = piped("bisect", "a", "rows.length > 1", "-v", "--from", "1", "--to", "7", *where)
    assert told.out == "a@6\n"
    assert "a@4: ReferenceError: rows is not defined\n" in told.err
    assert "a@7: true\n" in told.err


def test_the_first_event_after_which_it_does_not_hold_is_found(where: tuple[str, str]) -> None:
    assert piped("bisect", "a", "typeof was === 'string'", "--not", "--from", "1", *where).out == "a@4\n"


def test_what_holds_nowhere_is_told_in_a_sentence(where: tuple[str, str]) -> None:
    told = piped("bisect", "a", "n > 100", *where, status=1)
    assert (told.out, told.err) == (
        "",
        "mcp-v8: it does not hold after a@7: there is no event from which on it does (1 evaluation)\n",
    )
    told = piped("bisect", "a", "n > 0", "--not", *where, status=1)
    assert "it holds after a@7" in told.err


def test_an_expression_that_cannot_be_read_is_a_wrong_command(where: tuple[str, str]) -> None:
    told = piped("bisect", "a", "n >", *where, status=2)
    assert told.err.startswith(
        "mcp-v8: the expression cannot be read\nSyntaxError: Unexpected end of input\n"
    )
    told = piped("bisect", "a", "n >", *where, status=2, FORCE_COLOR="1")
    assert "SyntaxError" in told.err
    assert "␛" not in told.err
    told = piped("bisect", "a", "JSON.parse('{')", *where, status=1)  # that is no fault of its grammar
    assert "does not hold" in told.err
    assert (
        "no events from 3 to 2" in piped("bisect", "a", "1", "--from", "3", "--to", "2", *where, status=2).err
    )


def test_code_of_other_bytes_than_utf_8_is_a_wrong_command(where: tuple[str, str]) -> None:
    for command in ("state", "bisect"):
        told = piped(command, "a", os.fsdecode(b"'\xff'"), *where, status=2)
        assert told.err == "mcp-v8: what is asked for is not UTF-8\n"


def test_an_expression_without_a_value_ends_the_search(served: ServerProcess) -> None:
    much = "(() => { for (const kept = []; ; ) kept.push(new Array(100_000).fill(1)) })()"
    told = piped("bisect", "a", much, "--url", served.url, status=1)
    assert "after a@7 the expression gave no value: OutOfMemory" in told.err


class Thresholds:
    """Answers that an expression holds from event ``threshold`` on; some events make no state."""

    where = "a server"

    def __init__(self, threshold: int, stateless: set[int]) -> None:
        self._threshold, self._stateless = threshold, stateless
        self.requests = 0

    @asynccontextmanager
    async def send(
        self, _method: str, _path: str, _query: str, body: bytes, _headers: Mapping[str, str]
    ) -> AsyncIterator[Response]:
        """See ``Transport``."""
        self.requests += 1
        state = msgspec.json.decode(body)["event"]
        while state in self._stateless:
            state -= 1
        told = EvaluatedAnswer(
            session="a",
            event=state,
            heap="",
            status="completed",
            result=str(state >= self._threshold).lower(),
            result_json=None,
            output="",
            output_truncated=False,
            error=None,
            error_detail=None,
            duration_ms=1.0,
        )

        async def chunks() -> AsyncIterator[bytes]:
            yield msgspec.json.encode(told)

        yield Response(200, chunks())


@pytest.mark.parametrize("stateless", [set(), {3, 4, 5, 11}, set(range(1, 40, 2))], ids=len)
async def test_whatever_event_it_is_is_found_by_few_requests(stateless: set[int]) -> None:
    for first in (0, 1, 7):
        for last in range(first, 41):
            for threshold in {*range(first, last + 2)} - stateless:
                transport = Thresholds(threshold, stateless)
                search = Search(Client(transport), "a", "x", negated=False, verbose=False)
                found = await search.run(first, last)
                reachable = any(n >= threshold for n in range(first, last + 1) if n not in stateless)
                assert found == (threshold if reachable else None)
                assert transport.requests == search.evaluations
                assert search.evaluations <= math.ceil(math.log2(last - first + 1)) + 1


EXAMPLES = [
    line.strip()
    for command in (state, diff, bisect)
    for line in (command.help or "").splitlines()
    if line.strip().startswith("mcp-v8")
]


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_of_their_help_works(line: str, store: Path) -> None:
    arguments = shlex.split(re.sub("   .*", "", line))
    known = [re.sub("^demo", "a", re.sub("^other$", "b", one)) for one in arguments[1:]]
    shows_or_finds = known[0] == "state" or "--not" in known
    piped(*known, "--directory-path", store, status=0 if shows_or_finds else 1)
