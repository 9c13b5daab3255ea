"""``mcp-v8 log``: the events of a session, a line each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from made_sessions import aborted, executed, make
from server_process import COMMAND, ServerProcess, running
from typed import COLOUR, environment, in_terminal, piped

from cli.output.text import cells

LONG = 10_000
FIRST_SCREEN_SECONDS = 0.3
ERROR = {"name": "TypeError", "message": "Cannot read properties of undefined (reading 'id')"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions "long", "hostile" and "demo"."""
    directory = tmp_path_factory.mktemp("store")
    make(directory, "long", (executed(f"xs.push({n})", result=str(n)) for n in range(1, LONG + 1)))
    make(
        directory,
        "demo",
        [
            executed("const rows = load()\nrows.length", result="3"),
            executed("rows[7].id", error=ERROR),
            aborted("for (;;);"),
            executed("rows[7].id", error=ERROR, duration_us=2_500_000),
        ],
    )
    make(
        directory,
        "hostile",
        [executed("\x1b[2J\x1b]0;owned\x07'日本語'.repeat(40) // \u202e\r\x9b31m", error=ERROR)],
    )
    return directory


def test_events_are_lines_the_newest_last(where: tuple[str, str]) -> None:
    lines = [" ".join(line.split()) for line in piped("log", "demo", *where).lines]
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4"]
    assert lines[0].endswith("created claude-code")
    assert lines[1].endswith("1.8 ms completed claude-code const rows = load()⏎rows.length")
    assert lines[2].endswith(
        "1.8 ms failed claude-code rows[7].id TypeError: Cannot read properties of undefined (reading 'id')"
    )
    assert lines[3].endswith("timed_out claude-code for (;;); TimedOut: timed out after 30 s")
    assert "2.5 s failed" in lines[4]


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        (("long",), range(LONG - 49, LONG + 1)),
        (("long@6", "-n", "3"), range(4, 7)),
        (("long@6", "-n", "3", "--reverse"), range(6, 3, -1)),
        (("long", "--first", "9700"), range(9_700, LONG + 1)),
        (("long", "--first", "3", "--last", "5"), range(3, 6)),
        (("long", "--first", "3", "--last", "500", "--reverse"), range(500, 2, -1)),
        (("long", "--first", "3", "--last", "500", "-n", "2"), range(499, 501)),
        (("demo", "--status", "failed"), (2, 4)),
        (("demo", "--status", "failed", "-n", "1"), (4,)),
        (("demo@3", "--status", "failed", "--reverse"), (2,)),
        (("demo", "--status", "crashed"), ()),
        (("demo@0",), (0,)),
    ],
    ids=str,
)
def test_a_part_can_be_asked_for(where: tuple[str, str], arguments: tuple[str, ...], numbers: Any) -> None:
    told = piped("log", *arguments, "--json", *where)
    assert [msgspec.json.decode(line)["event"] for line in told.lines] == list(numbers)


def test_json_is_what_the_server_lists(where: tuple[str, str], served: ServerProcess) -> None:
    listed = httpx2.get(f"{served.url}/api/sessions/demo/events").json()["events"]
    assert [msgspec.json.decode(line) for line in piped("log", "demo", "--json", *where).lines] == listed


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lines_fit_the_terminal_and_nothing_of_the_code_steers_it(
    where: tuple[str, str], columns: int
) -> None:
    told = in_terminal("log", "hostile", *where, columns=columns)
    assert "\x1b[31m" in told.out
    assert not set(COLOUR.sub("", told.out)) & set(
        map(chr, [*range(10), *range(11, 32), *range(127, 160), 0x202E])
    )
    assert all(cells(line) <= columns for line in told.lines)
    assert "␛[2J" in told.lines[1]
    assert "TypeErr" in told.lines[1] or columns < 80, "long code leaves room for what went wrong"


def test_in_a_pipe_code_is_whole_beside_its_error(store: Path) -> None:
    (line,) = piped("log", "hostile", "-n", "1", "--directory-path", store).lines
    assert "日本語'.repeat(40) // \\u202e␍\\x9b31m  TypeError: Cannot read" in line


def test_a_pipe_has_whole_lines_without_colours_and_variables_decide(where: tuple[str, str]) -> None:
    assert "\x1b" not in piped("log", "demo", *where).out
    assert "\x1b" not in in_terminal("log", "demo", *where, NO_COLOR="1").out
    assert "\x1b" not in in_terminal("log", "demo", *where, TERM="dumb").out
    assert "\x1b[31m" in piped("log", "demo", *where, FORCE_COLOR="1").out
    assert all(cells(line) <= 50 for line in piped("log", "demo", *where, COLUMNS="50").lines)


def test_a_terminal_of_another_encoding_is_written_to(store: Path) -> None:
    told = piped("log", "demo", "--directory-path", store, PYTHONIOENCODING="latin-1", COLUMNS="60")
    assert told.lines[1].endswith("\\u2026")


@pytest.mark.parametrize("command", [("log", "demo"), ("show", "demo@1"), ("find", "rows"), ("sessions",)])
def test_nothing_is_imported_that_looking_at_a_store_does_not_need(
    store: Path, command: tuple[str, ...]
) -> None:
    heavy = {
        "quart",
        "mcp",
        "httpx2",
        "pygments",
        "hypercorn",
        "boto3",
        "trio_websocket",
        "jinja2",
        "py_mini_racer",
    }
    code = f"""
import sys
from cli.main import main
try:
    main([*{command!r}, "--directory-path", {str(store)!r}, "--json"])
except SystemExit:
    print(sorted({heavy!r} & sys.modules.keys()), file=sys.stderr)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment(),
    )
    assert ended.stderr.strip() == "[]"


def test_what_is_left_out_is_said_on_a_terminal_alone(store: Path) -> None:
    assert in_terminal("log", "long", "--directory-path", store).lines[0] == "… 9,951 earlier events: -n N"
    assert piped("log", "long", "--directory-path", store).lines[0].split()[0] == "9951"


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("nosuch",), 3, "mcp-v8: there is no session nosuch\n"),
        (("demo@9",), 3, "mcp-v8: session demo has no event 9: its last is 4\n"),
        (("demo", "--first", "9"), 3, "mcp-v8: session demo has no event 9: its last is 4\n"),
        (("demo@2", "--first", "3"), 2, "mcp-v8: there are no events from 3 to 2\n"),
        (("demo@2", "--follow"), 2, "--follow goes on from the newest event"),
        (("demo", "--status", "running"), 2, "--status"),
        (("de mo",), 2, "session"),
        (("demo", "-n", "0"), 2, "-n"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    where: tuple[str, str], arguments: tuple[str, ...], status: int, told: str
) -> None:
    ended = piped("log", *arguments, *where, status=status)
    assert told in ended.err
    assert ended.out == ""


def test_whoever_has_read_enough_ends_it_quietly(where: tuple[str, str]) -> None:
    process = subprocess.Popen(
        [COMMAND, "log", "long", "--first", "0", *where],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()


def test_the_first_screen_of_a_long_session_is_there_at_once(where: tuple[str, str]) -> None:
    def seconds(*arguments: str) -> float:
        """What it takes of a processor, since others may keep it busy."""
        process = subprocess.Popen([COMMAND, *arguments], env=environment(), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return used.ru_utime + used.ru_stime

    seconds("log", "long", *where)  # once, for what Python keeps of modules
    taken = min(seconds("log", "long", *where) for _ in range(5))
    start = min(seconds("--version") for _ in range(5))
    assert taken < max(FIRST_SCREEN_SECONDS, 6 * start), f"{taken:.3f} s, of a start {start:.3f} s"


class Follower:
    """A command that goes on; its lines."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "log", *arguments],
            env=environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next one."""
        assert self.process.stdout is not None
        return " ".join(self.process.stdout.readline().split())

    def interrupted(self) -> str:
        """What it says at the end, after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=30)
        assert out == ""
        assert self.process.returncode == 130
        return err


@pytest.fixture
def follow() -> Iterator[Callable[..., Follower]]:
    followers: list[Follower] = []

    def begin(*arguments: str) -> Follower:
        followers.append(Follower(*arguments))
        return followers[-1]

    yield begin
    for follower in followers:
        if follower.process.poll() is None:
            follower.process.kill()
        follower.process.communicate()


def run(server: ServerProcess, code: str, session: str) -> None:
    answer = httpx2.post(f"{server.url}/api/exec", json={"code": code, "session": session}, timeout=60)
    assert answer.status_code == 200, answer.text


def test_a_follower_is_told_what_happens_until_it_is_interrupted(
    where: tuple[str, str], served: ServerProcess, follow: Callable[..., Follower]
) -> None:
    run(served, "let n = 1", "followed")
    follower = follow("followed", "--follow", *where)
    assert "created" in follower.line()
    assert follower.line().endswith("let n = 1")
    run(served, "++n", "followed")
    assert follower.line().endswith("++n")
    run(served, "n.x.y", "followed")
    assert follower.line().endswith("n.x.y TypeError: Cannot read properties of undefined (reading 'y')")
    assert follower.interrupted() == ""
    httpx2.delete(f"{served.url}/api/sessions/followed")


def test_a_follower_of_a_server_sees_the_console_of_what_runs(
    served: ServerProcess, follow: Callable[..., Follower]
) -> None:
    run(served, "let n = 1", "console")
    follower = follow("console", "-f", "-n", "1", "--url", served.url)
    assert follower.line().endswith("let n = 1")
    run(
        served,
        "console.log('one\\n\\x1b[2Jtwo'); await new Promise((done) => setTimeout(done, 300))",
        "console",
    )
    assert follower.line().startswith("running console.log(")
    assert follower.line() == "│ one"
    assert follower.line() == "│ ␛[2Jtwo"
    assert "completed" in follower.line()
    httpx2.delete(f"{served.url}/api/sessions/console")
    assert follower.line() == "the session was deleted"
    assert follower.process.wait(30) == 0


def test_a_follower_with_json_prints_a_line_for_each_message(
    where: tuple[str, str], served: ServerProcess, follow: Callable[..., Follower]
) -> None:
    run(served, "let n = 1", "json")
    follower = follow("json", "-f", "--json", *where)
    assert [msgspec.json.decode(follower.line())["event"] for _ in range(2)] == [0, 1]
    if where[0] == "--url":
        assert msgspec.json.decode(follower.line()) == {
            "type": "begun",
            "session": "json",
            "after": 1,
            "version": 1,
        }
    run(served, "++n", "json")
    told = msgspec.json.decode(follower.line())
    while told["type"] != "event":
        told = msgspec.json.decode(follower.line())
    assert (told["event"]["event"], told["event"]["code"]) == (2, "++n")
    assert follower.interrupted() == ""
    httpx2.delete(f"{served.url}/api/sessions/json")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_follower_goes_on_when_the_server_is_there_again(
    tmp_path: Path, follow: Callable[..., Follower], how: signal.Signals
) -> None:
    with running("--directory-path", str(tmp_path)) as server:
        port = str(server.port)
        run(server, "let n = 1", "a")
        follower = follow("a", "-f", "-n", "1", "--url", server.url)
        assert follower.line().endswith("let n = 1")
        os.kill(server.process.pid, how)
        server.wait()
        assert follower.process.stderr is not None
        assert follower.process.stderr.readline() == "mcp-v8: the server went away; waiting for it\n"
    with running("--directory-path", str(tmp_path), "--http-port", port) as server:
        run(server, "++n", "a")
        told = ""
        while " completed " not in told:  # it may have been back in time to see that it runs
            told = follower.line()
            assert told.endswith("++n")
    assert "mcp-v8: the server is back" in follower.interrupted()
