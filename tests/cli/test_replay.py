"""``mcp-v8 replay``: whether what was recorded comes out again, of one session and of all."""

from __future__ import annotations

import shlex
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import msgspec
import pytest
import trio
import trio.testing
from broken_sessions import make_store
from engines import opened
from golden.histories import FOLDER
from made_sessions import executed, make
from server_process import COMMAND
from typed import COLOUR, environment, in_terminal, piped

from cli.commands import replayall
from cli.commands.replay import replay as replay_command
from cli.output.replays import Replay
from cli.output.textdiff import diff
from cli.target.client import Client, Response
from persistence.schema import DATABASE_NAME
from transports.identity import LOCAL
from transports.rest.past_shapes import ReplayEnd

GOLDEN = sorted((FOLDER / "stores").glob("*.db"))
CODES = ("let rows = [1, 2]", "rows.push(Math.random())", "null.x", "rows.length", "for (;;);", "Date.now()")
EXECUTED = 5
"""Of these; the endless loop is undone."""
EXAMPLES = [line.strip() for line in (replay_command.help or "").splitlines() if "  mcp-v8" in f"  {line}"]


async def record(directory: Path, cache_dir: Path, **sessions: tuple[str, ...]) -> None:
    """Run code in sessions of the owner who is there without tokens."""
    async with opened(directory, cache_dir) as engine:
        for name, codes in sessions.items():
            for code in codes:
                await engine.run(code, session=name, owner=LOCAL.owner, time_ms=1_000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """Good sessions, "a" and "b", and bad ones: "diverged", "failed" and "drifted"."""
    directory = tmp_path_factory.mktemp("store")
    make_store(directory)
    trio.run(lambda: record(directory, cache_dir, a=CODES, b=("1", "2")))
    return directory


def test_a_session_whose_events_all_agree_is_told_in_a_line(where: tuple[str, str]) -> None:
    told = piped("replay", "a", *where)
    assert (told.out, told.err) == (f"{EXECUTED}/{EXECUTED} agree\n", "")


def test_each_event_has_a_line_where_that_is_asked_for(where: tuple[str, str]) -> None:
    told = piped("replay", "a", "--from", "2", "--to", "4", "-v", *where)
    assert told.lines == [
        "a@2 agrees  rows.push(Math.random())",
        "a@3 agrees  null.x",
        "a@4 agrees  rows.length",
        "3/3 agree",
    ]


def test_a_difference_is_shown_with_what_to_do_about_it(where: tuple[str, str]) -> None:
    told = piped("replay", "diverged", "--engine", "current", *where, status=1)
    assert told.lines == [
        "diverged@2 differs in result_json  n * 10",
        "  - 71",
        "  + 70",
        "1/2 agree, 1 event with other texts than an older version gave"
        if "other texts" in told.out
        else "1/2 agree",
        "to go on from the last good state: mcp-v8 fork diverged@1",
        "or in the state that a replay gives: mcp-v8 accept diverged",
    ]


def test_another_versions_texts_must_agree_unless_an_upgrade_is_tried(where: tuple[str, str]) -> None:
    strict = piped("replay", "drifted", *where, status=1)
    assert strict.lines[:4] == [
        "drifted@1 differs in result  let n = 7; n",
        "  - seven",
        "  + 7",
        "0/1 agree",
    ]
    assert "mcp-v8 replay drifted --engine current" in strict.lines[4]
    lenient = piped("replay", "drifted", "--engine", "current", *where)
    assert lenient.lines == ["1/1 agree, 1 event with other texts than an older version gave"]
    told = piped("replay", "drifted", "--engine", "current", "-v", *where)
    assert told.lines[:3] == ["drifted@1 agrees, but for its result  let n = 7; n", "  - seven", "  + 7"]


def test_an_event_that_ends_its_process_each_time_ends_the_replay(where: tuple[str, str]) -> None:
    told = piped("replay", "failed", "--engine", "current", *where, status=1)
    assert told.lines == [
        "1/2 agree",
        "event 2 ended its process each time that it was run: the replay ends there",
        "to go on from the last good state: mcp-v8 fork failed@1",
    ]


def test_lines_of_json_are_those_of_the_server(where: tuple[str, str]) -> None:
    told = piped("replay", "diverged", "--json", "--engine", "current", *where, status=1)
    first, second, end = map(msgspec.json.decode, told.out.splitlines())
    assert (first["event"], first["agrees"], second["event"], second["got"]) == (1, True, 2, "70")
    assert (end["type"], end["different"], end["agrees"]) == ("end", 1, False)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("nowhere",), 3, "there is no session nowhere"),
        (("a", "--to", "99"), 3, "this session has no event 99"),
        (("a", "--from", "5", "--to", "4"), 2, "no event is from 5 to 4"),
        ((), 2, "give a SESSION, or --all"),
        (("a", "--all"), 2, "give a SESSION or --all, not both"),
        (("--all", "--to", "4"), 2, "--from and --to are for one session, not for --all"),
        (("a", "--junit", "/no/such/folder/replay.xml"), 2, "there is no folder /no/such/folder"),
        (("a@3",), 2, "a session is meant, not a point in one: give a"),
    ],
)
def test_what_cannot_be_replayed_is_told_in_a_sentence(
    arguments: tuple[str, ...], status: int, sentence: str, where: tuple[str, str]
) -> None:
    told = piped("replay", *arguments, *where, status=status)
    assert sentence in told.err
    assert told.out == ""


def test_all_sessions_have_a_line_and_those_that_fail_come_again_at_the_end(where: tuple[str, str]) -> None:
    told = piped("replay", "--all", "--engine", "current", *where, status=1)
    lines, _, rest = "\n".join(told.lines).partition("\n\n")
    verdicts = dict(line.split(": ", 1) for line in lines.split("\n"))
    assert {name: verdict.partition("  ")[0] for name, verdict in verdicts.items()} == {
        "a": f"{EXECUTED}/{EXECUTED} agree",
        "b": "2/2 agree",
        "diverged": "1/2 agree",
        "drifted": "1/1 agree, 1 event with other texts than an older version gave",
        "failed": "1/2 agree",
    }
    assert "\n  diverged@2 differs in result_json\n    - 71\n    + 70\n" in rest
    assert "\n  event 2 ended its process each time" in rest
    assert "mcp-v8 fork failed@1" in rest
    assert rest.splitlines()[-1].startswith("3/5 sessions agree  11 events in ")


def test_all_as_json_is_an_object_for_each(where: tuple[str, str]) -> None:
    told = piped("replay", "--all", "--json", *where, status=1)
    found = {one["session"]: one for one in map(msgspec.json.decode, told.out.splitlines())}
    assert {name: one["verdict"] for name, one in found.items()} == {
        "a": "agrees",
        "b": "agrees",
        "diverged": "differs",
        "drifted": "differs",
        "failed": "failed",
    }
    assert [one["event"] for one in found["diverged"]["differences"]] == [
        1,
        2,
    ]  # strictly: their digests, too


def test_what_was_not_there_is_told_in_a_word(tmp_path: Path) -> None:
    make(tmp_path, "a", [executed("1")])  # without the JSON of its result
    told = piped("replay", "a", "--directory-path", tmp_path, status=1)
    assert told.lines[:3] == ["a@1 differs in result_json  1", "  - nothing", "  + 1"]


def test_results_are_written_as_junit(where: tuple[str, str], tmp_path: Path) -> None:
    one, every = tmp_path / "one.xml", tmp_path / "all.xml"
    piped("replay", "diverged", "--engine", "current", "--junit", one, *where, status=1)
    suite = Xml.parse(one).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == ["diverged@1", "diverged@2"]
    assert cases["diverged@1"].find("failure") is None
    failure = cases["diverged@2"].find("failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("differs in result_json", "  - 71\n  + 70")
    piped("replay", "--all", "--engine", "current", "--junit", every, *where, status=1)
    suite = Xml.parse(every).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "0")
    told = piped("replay", "b", "--junit", "/dev/full", *where, status=1)
    assert told.err == "mcp-v8: /dev/full cannot be written: No space left on device\n"


def test_a_session_whose_log_is_corrupt_stops_no_others(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as database:
        (session,) = database.execute("SELECT session FROM sessions WHERE name = 'b'").fetchone()
        changed = database.execute(
            "UPDATE events SET body = zeroblob(length(body)) WHERE session = ? AND seq = 1", (session,)
        )
        assert changed.rowcount == 1
    database.close()
    alone = piped("replay", "b", "--directory-path", tmp_path, status=4)
    assert alone.err.startswith("mcp-v8: ")
    told = piped("replay", "--all", "--engine", "current", "--directory-path", tmp_path, status=4)
    assert "\na: 5/5 agree" in "\n" + told.out
    assert told.out.splitlines()[-1].startswith("2/5 sessions agree")


def test_sessions_of_several_owners_are_told_apart(tmp_path: Path, cache_dir: Path) -> None:
    async def both() -> None:
        async with opened(tmp_path, cache_dir) as engine:
            for owner in ("ann", "ben"):
                await engine.run("1", session="a", owner=owner)

    trio.run(both)
    told = piped("replay", "--all", "--directory-path", tmp_path)
    assert sorted(line.partition(":")[0] for line in told.lines[:2]) == ["ann/a", "ben/a"]
    assert piped("replay", "a", "--owner", "ann", "--directory-path", tmp_path).out == "1/1 agree\n"
    refused = piped("replay", "a", "--directory-path", tmp_path, status=2)
    assert "has sessions of ann, ben: choose by --owner" in refused.err


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_what_every_earlier_version_stored_agrees(golden: Path, tmp_path: Path) -> None:
    shutil.copy(golden, tmp_path / DATABASE_NAME)
    told = piped("replay", "--all", "--directory-path", tmp_path)
    verdicts = dict(line.split(": ", 1) for line in told.lines[:-1])
    assert {"golden", "branch"} <= set(verdicts)
    for verdict in verdicts.values():
        agree, _, all_of = verdict.partition(" ")[0].partition("/")
        assert agree == all_of


def test_a_store_is_as_it_was_after_a_replay_of_all(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    piped("replay", "--all", "--directory-path", tmp_path, status=1)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_ctrl_c_ends_a_replay_with_what_was_done_so_far(tmp_path: Path, cache_dir: Path) -> None:
    slow = "for (const end = Date.now() + 400; Date.now() < end;);"
    trio.run(lambda: record(tmp_path, cache_dir, long=("1", *[slow] * 15), short=("1",)))
    for arguments, said in (
        (("long", "-v"), "mcp-v8: interrupted after "),
        (("--all",), "mcp-v8: interrupted: 1 session was not"),
    ):
        process = subprocess.Popen(
            [COMMAND, "replay", *arguments, "--directory-path", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # one event, or the short session, is done
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert said in err
        assert "Traceback" not in err
        assert arguments != ("--all",) or "1/1 sessions agree" in out


def test_a_terminal_shows_progress_and_is_left_without_it(store: Path) -> None:
    told = in_terminal("replay", "a", "--directory-path", store)
    assert "replaying a: " in told.out
    assert "/6 events" in told.out  # the endless loop is one, and is passed over
    last = told.out.rsplit("\r", 1)[1]
    assert COLOUR.sub("", last) == f"{EXECUTED}/{EXECUTED} agree\n"
    assert "\x1b[32m" in last


def test_what_code_printed_cannot_steer_the_terminal() -> None:
    shown = [COLOUR.sub("", line) for line in diff("a\x1b[2Jb", "a\x1b]0;xb\x07")]
    assert shown == ["- a␛[2Jb", "+ a␛]0;xb␇"]


def test_lines_that_differ_are_shown_with_those_around_them() -> None:
    before = "".join(f"line {n}\n" for n in range(40))
    after = before.replace("line 20\n", "line twenty\n")
    shown = [COLOUR.sub("", line) for line in diff(before, after)]
    assert shown == [
        "@@ -19,5 +19,5 @@",
        "  line 18",
        "  line 19",
        "- line 20",
        "+ line twenty",
        "  line 21",
        "  line 22",
    ]


def test_a_long_line_is_cut_and_what_only_one_has_stands_out() -> None:
    was, _ = diff("x" * 2_000 + "a", "y" + "x" * 2_000)
    assert COLOUR.sub("", was).endswith("… 1,401 characters more")
    red, green = diff("[ 1, 2, 3 ]", "[ 1, 5, 3 ]")
    assert red.startswith("\x1b[31m- [ 1, \x1b[0m\x1b[31m\x1b[7m2")
    assert COLOUR.sub("", green) == "+ [ 1, 5, 3 ]"


class BusyAtFirst:
    """Has no place for a replay the first two times that it is asked, and then one for any."""

    where = "a server"

    def __init__(self) -> None:
        self.asked = 0

    @asynccontextmanager
    async def send(
        self, _method: str, _path: str, _query: str, _body: bytes, _headers: Mapping[str, str]
    ) -> AsyncIterator[Response]:
        """See ``Transport``."""
        self.asked += 1

        async def chunks() -> AsyncIterator[bytes]:
            if self.asked < 3:
                yield b'{"error":"full","code":"busy","field":null}'
            else:
                end = ReplayEnd(
                    session="a", event=0, executions=0, different=0, drift=0, failed_event=None, agrees=True
                )
                yield msgspec.json.encode(end) + b"\n"

        yield Response(429 if self.asked < 3 else 200, chunks())


async def test_a_server_that_has_no_place_now_is_asked_again(
    capsys: pytest.CaptureFixture[str],
    autojump_clock: object,  # noqa: ARG001
) -> None:
    server = BusyAtFirst()
    session = replayall.Session(Client(server), "a", 1, Replay.begin("a", 0))
    replays = replayall.Replays([session], 1, strict=True, report=None, as_json=False, several=False)
    assert await replays.run() == 0
    assert server.asked == 3
    assert capsys.readouterr().out.startswith("a: 0/0 agree")


class Counting(BusyAtFirst):
    """Notes how many replays are under way at once, each of which waits until it can be no more."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 2
        self.under_way = self.most = 0

    @asynccontextmanager
    async def send(self, *request: Any) -> AsyncIterator[Response]:
        """See ``Transport``."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await trio.testing.wait_all_tasks_blocked()
        async with super().send(*request) as response:
            yield response
        self.under_way -= 1


@pytest.mark.parametrize("at_once", [1, 2, 5])
async def test_so_many_sessions_are_replayed_at_once(at_once: int) -> None:
    server = Counting()
    sessions = [replayall.Session(Client(server), str(n), n, Replay.begin(str(n), 0)) for n in range(5)]
    replays = replayall.Replays(sessions, at_once, strict=True, report=None, as_json=False, several=False)
    assert await replays.run() == 0
    assert server.most == at_once


@pytest.mark.parametrize("line", [*EXAMPLES])
def test_every_example_of_its_help_works(line: str, store: Path, tmp_path: Path) -> None:
    arguments = shlex.split(line.split("   ")[0].replace("replay.xml", str(tmp_path / "replay.xml")))
    assert arguments[0] == "mcp-v8"
    known = ["a" if one == "demo" else one for one in arguments[1:]]
    every = "--all" in known
    piped(*known, "--directory-path", store, status=int(every))
