"""``mcp-v8 sessions``: which there are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from made_sessions import BEGAN, executed, make
from server_process import ServerProcess, running
from typed import COLOUR, in_terminal, piped

from cli.output.text import cells

LATER = 3_600_000_000
LONG_NAME = "long-" + "n" * 100


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions "b-1", "a-1" and "big", each an hour after the other, and a fork of "big" with labels, now."""
    directory = tmp_path_factory.mktemp("store")
    make(directory, "b-1", [executed("1")])
    make(directory, "a-1", [executed("1"), executed("2")], at=BEGAN + LATER)
    make(directory, "big", [executed("x" * 20_000), executed("2"), executed("3")], at=BEGAN + 2 * LATER)
    with (
        running("--directory-path", str(directory)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        client.post("/api/sessions/big/fork", json={"event": 2, "name": LONG_NAME})
        client.put(
            f"/api/sessions/{LONG_NAME}/tags",
            json={"event": 3, "tags": {"stage": "raw", "\x1b[2J": "\u202e"}},
        )
    return directory


def time(seconds: int) -> str:
    return datetime.fromtimestamp(BEGAN // 1_000_000 + seconds, UTC).isoformat()


def test_sessions_are_shown_the_last_used_first(where: tuple[str, str]) -> None:
    titles, *lines = piped("sessions", *where).lines
    assert titles.split() == [
        "session",
        "events",
        "size",
        "last",
        "used",
        "status",
        "forked",
        "from",
        "labels",
    ]
    fork, big, a, b = (line.split() for line in lines)
    assert fork[0] == LONG_NAME
    assert " ".join(fork[-5:]) == "ok big@2 @3 ␛[2J=\\u202e stage=raw"
    assert big[:4] == ["big", "4", "22", "KiB"]
    assert (a[:2], b[:2]) == (["a-1", "3"], ["b-1", "2"])
    assert b[-1] == "ok"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--name", "?-1"), ["a-1", "b-1"]),
        (("--name", "A*"), []),
        (("--since", time(3_000)), [LONG_NAME, "big", "a-1"]),
        (("--tag", "stage:raw"), [LONG_NAME]),
        (("--tag", "stage:other"), []),
        (("--status", "diverged"), []),
        (("--sort", "name", "-n", "2"), ["a-1", "b-1"]),
        (("--sort", "size"), ["big", "a-1", "b-1", LONG_NAME]),
        (("--sort", "events", "-n", "1"), [LONG_NAME]),
        (("--sort", "created", "-n", "1"), [LONG_NAME]),
        (("-n", "3"), [LONG_NAME, "big", "a-1"]),
    ],
    ids=str,
)
def test_they_can_be_narrowed_and_sorted(
    where: tuple[str, str], arguments: tuple[str, ...], names: list[str]
) -> None:
    told = [msgspec.json.decode(line) for line in piped("sessions", *arguments, "--json", *where).lines]
    found = [one["session"] for one in told]
    assert found[:-1] + sorted(found[-1:]) == names


def test_json_is_what_the_server_lists(where: tuple[str, str], served: ServerProcess) -> None:
    def told(one: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in one.items() if name not in ("awake", "recovering")}

    listed = httpx2.get(f"{served.url}/api/sessions?sizes=true").json()["sessions"]
    printed = [msgspec.json.decode(line) for line in piped("sessions", "--json", *where).lines]
    assert list(map(told, printed)) == list(map(told, listed))
    assert all(one["bytes"] > 0 for one in listed)
    assert "bytes" not in httpx2.get(f"{served.url}/api/sessions").json()["sessions"][0]


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_the_table_fits_the_terminal_and_no_label_steers_it(store: Path, columns: int) -> None:
    told = in_terminal("sessions", "--directory-path", store, columns=columns)
    assert not set(COLOUR.sub("", told.out)) & set(
        map(chr, [*range(10), *range(11, 32), *range(127, 160), 0x202E])
    )
    assert all(cells(line) <= columns for line in told.lines)
    assert told.lines[1].startswith("long-n")
    assert "\x1b[32mok" in told.out or columns < 40


def test_what_is_left_out_is_said_on_a_terminal(store: Path) -> None:
    assert in_terminal("sessions", "-n", "1", "--directory-path", store).lines[2] == "… more: --limit N"
    empty = in_terminal("sessions", "--name", "x", "--directory-path", store, columns=200)
    assert empty.lines == [f"there are no such sessions in the store in {store}"]
    assert piped("sessions", "--name", "x", "--directory-path", store).out == ""


def test_the_sessions_of_all_owners_of_a_store_are_shown(tmp_path: Path) -> None:
    make(tmp_path, "a", [executed("1")], owner="ann")
    make(tmp_path, "b", [executed("1")], owner="bob", at=BEGAN + LATER)
    titles, *lines = piped("sessions", "--directory-path", tmp_path).lines
    assert titles.split()[:2] == ["session", "owner"]
    assert [line.split()[:2] for line in lines] == [["b", "bob"], ["a", "ann"]]
    told = piped("sessions", "--json", "--directory-path", tmp_path).lines
    assert [msgspec.json.decode(line)["owner"] for line in told] == ["bob", "ann"]
    assert len(piped("sessions", "--owner", "ann", "--directory-path", tmp_path).lines) == 2
    refused = piped("log", "a", "--directory-path", tmp_path, status=2)
    assert "has sessions of ann, bob: choose by --owner" in refused.err


@pytest.mark.parametrize(
    "words", [("sessions",), ("log", "a"), ("find",), ("replay", "--all"), ("verify",)], ids=" ".join
)
def test_an_owner_of_nothing_is_not_found(words: tuple[str, ...], tmp_path: Path) -> None:
    make(tmp_path, "a", [executed("1")], owner="ann")
    told = piped(*words, "--owner", "anne", "--directory-path", tmp_path, status=3)
    assert told.err == f"mcp-v8: the store in {tmp_path} has no sessions of anne: of ann\n"
    assert told.out == ""


def test_what_cannot_be_an_owner_is_a_wrong_command_line(tmp_path: Path) -> None:
    for name in ("", "a b", "a\nb"):
        told = piped("exec", "1", "--owner", name, "--directory-path", tmp_path, status=2)
        assert "an owner or name is 1 to 64 of the characters" in told.err


def test_a_session_that_does_not_replay_is_shown_as_such(tmp_path: Path) -> None:
    from broken_sessions import make_store

    make_store(tmp_path)
    with running("--directory-path", str(tmp_path)) as server:
        httpx2.post(f"{server.url}/api/exec", json={"code": "1", "session": "diverged"}, timeout=60)
        lines = piped("sessions", "--status", "diverged", "--url", server.url).lines
    assert [line.split()[0] for line in lines[1:]] == ["diverged"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--directory-path", "/nowhere/at/all"), 3, "mcp-v8: there is no store in /nowhere/at/all"),
        (("--url", "http://127.0.0.1:1"), 1, "mcp-v8: the server at http://127.0.0.1:1 does not answer"),
        (("--since", "soon"), 2, "'soon' is no point in time"),
        (("--sort", "colour"), 2, "--sort"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(arguments: tuple[str, ...], status: int, told: str) -> None:
    assert told in piped("sessions", *arguments, status=status).err
