"""``mcp-v8 find``: executions of all sessions, by what is in them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec
import pytest
from made_sessions import BEGAN, aborted, executed, make
from server_process import ServerProcess
from typed import COLOUR, in_terminal, piped

from cli.output.text import cells
from engine.events import Caller

ERROR = {
    "name": "TypeError",
    "message": "Cannot read properties of undefined (reading 'id')",
    "stack": "TypeError: x",
}
CURL = Caller(transport="rest", client="curl", subject="ann")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions "a" and "b", which began an hour after it."""
    directory = tmp_path_factory.mktemp("store")
    make(
        directory,
        "a",
        [
            executed(
                "const rows = await load()\nrows.length // a long line that goes on until the Needle and beyond it"
            ),
            executed("rows[7].id", error=ERROR),
            executed("show(rows)", console=[("log", "first"), ("warn", "total: 12\nneedle: 3")]),
            aborted("for (;;);"),
        ],
    )
    make(
        directory,
        "b",
        [
            executed("input", input='{"name":"needle"}', caller=CURL),
            executed("answer", result="'a needle'", caller=CURL),
            executed("\x1b[2Jneedle\u202e", caller=CURL),
        ],
        at=BEGAN + 3_600_000_000,
    )
    return directory


def time(seconds: int) -> str:
    return datetime.fromtimestamp(BEGAN // 1_000_000 + seconds, UTC).isoformat()


def test_a_text_is_found_in_whatever_it_is_and_shown_in_its_line(where: tuple[str, str]) -> None:
    lines = [" ".join(line.split()) for line in piped("find", "needle", *where).lines]
    day = f"{datetime.fromtimestamp(BEGAN // 1_000_000, UTC):%-d %b}"
    assert lines == [
        f"{day} 15:13 b@3 curl completed code ␛[2Jneedle\\u202e",
        f"{day} 15:13 b@2 curl completed result 'a needle'",
        f'{day} 15:13 b@1 curl completed input {{"name":"needle"}}',
        f"{day} 14:13 a@3 claude-code completed console needle: 3",
    ]


def test_without_a_text_the_error_is_shown_or_the_code(where: tuple[str, str]) -> None:
    lines = [" ".join(line.split()[2:]) for line in piped("find", "--status", "failed", *where).lines]
    assert lines == ["14:13 a@2 claude-code TypeError: Cannot read properties of undefined (reading 'id')"]
    last = piped("find", "-n", "1", *where).lines
    assert [" ".join(line.split()[3:]) for line in last] == ["b@3 curl completed ␛[2Jneedle\\u202e"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("-i", "NEEDLE"), ["b@3", "b@2", "b@1", "a@3", "a@1"]),
        (("needle", "--caller", "CLAUDE"), ["a@3"]),
        (("--caller", "ann", "-n", "2"), ["b@3", "b@2"]),
        (("needle", "--session", "a"), ["a@3"]),
        (("--status", "timed_out"), ["a@4"]),
        (("--since", time(3_602)), ["b@3", "b@2"]),
        (("--since", time(2), "--until", time(4)), ["a@3", "a@2"]),
        (("-E", r"total: \d+$"), ["a@3"]),
        (("-E", "^needle"), ["a@3"]),
        (("-E", "-i", "n.edle"), ["b@3", "b@2", "b@1", "a@3", "a@1"]),
        (("TypeError: Cannot",), ["a@2"]),
    ],
    ids=str,
)
def test_what_is_looked_for_can_be_narrowed(
    where: tuple[str, str], arguments: tuple[str, ...], found: list[str]
) -> None:
    told = [msgspec.json.decode(line) for line in piped("find", *arguments, "--json", *where).lines]
    assert [f"{one['session']}@{one['event']}" for one in told] == found
    assert all(one["recorded"]["event"] == one["event"] for one in told)


def test_nothing_found_is_status_1_and_no_output(where: tuple[str, str]) -> None:
    assert piped("find", "nowhere", *where, status=1).out == ""
    assert piped("find", "--since", "2h", *where, status=1).out == ""


@pytest.mark.parametrize("columns", [40, 80])
def test_lines_fit_the_terminal_and_what_was_looked_for_stands_out(store: Path, columns: int) -> None:
    told = in_terminal("find", "-i", "needle", "--directory-path", store, columns=columns)
    assert "\x1b[31m\x1b[1mneedle" in told.out
    assert not set(COLOUR.sub("", told.out)) & set(
        map(chr, [*range(10), *range(11, 32), *range(127, 160), 0x202E])
    )
    assert all(cells(line) <= columns for line in told.lines)
    assert all("needle" in line.lower() for line in told.lines), "also where the line is long"


def test_that_there_is_more_is_said_on_a_terminal(store: Path) -> None:
    assert in_terminal("find", "-n", "2", "--directory-path", store).lines[2] == "… more: --limit N"
    assert len(piped("find", "-n", "2", "--directory-path", store).lines) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("-E", "("), 2, "mcp-v8: TEXT is no regular expression: "),
        (("--since", "soon"), 2, "'soon' is no point in time: give 23:00, 2026-11-28"),
        (("x", "--session", "nosuch"), 3, "mcp-v8: there is no session nosuch\n"),
        (("x" * 1_001,), 2, "`text`"),
    ],
)
def test_what_cannot_be_looked_for_is_one_sentence(
    where: tuple[str, str], arguments: tuple[str, ...], status: int, told: str
) -> None:
    assert told in piped("find", *arguments, *where, status=status).err


def test_sessions_of_all_owners_of_a_store_are_looked_through(tmp_path: Path) -> None:
    make(tmp_path, "a", [executed("needle + 1")], owner="ann")
    make(tmp_path, "b", [executed("needle + 2")], owner="bob", at=BEGAN + 60_000_000)
    store = ("--directory-path", str(tmp_path))
    lines = [line.split()[3:6] for line in piped("find", "needle", *store).lines]
    assert lines == [["b@1", "bob", "claude-code"], ["a@1", "ann", "claude-code"]]
    told = piped("find", "needle", "--json", *store).lines
    assert [msgspec.json.decode(line)["owner"] for line in told] == ["bob", "ann"]
    assert [line.split()[3] for line in piped("find", "needle", "--session", "a", *store).lines] == ["a@1"]
    assert [line.split()[3] for line in piped("find", "needle", "--owner", "ann", *store).lines] == ["a@1"]


def test_what_runs_is_found_by_what_is_known_of_it(served: ServerProcess) -> None:
    with httpx2.Client(base_url=served.url, timeout=60) as client:
        body = {"code": "let endless = 1\nfor (;;);", "session": "running"}
        asked = client.post("/api/exec", json=body, headers={"prefer": "respond-async"}).json()
        try:
            for arguments in (("endless",), ("-E", "end[l]ess")):
                (line,) = piped("find", *arguments, "--url", served.url).lines
                assert " ".join(line.split()[1:]) == "running running code let endless = 1"
            assert piped("find", "-E", "endles_", "--url", served.url, status=1).out == ""
        finally:
            client.post(f"/api/executions/{asked['execution_id']}/cancel")
            client.delete("/api/sessions/running")
