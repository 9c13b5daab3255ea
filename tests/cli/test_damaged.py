"""What looks at a damaged store says so, in a sentence and by its status."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from made_sessions import executed, make
from server_process import running
from typed import piped

from persistence.schema import DATABASE_NAME


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A session "demo", of whose events number 2 was altered."""
    make(tmp_path, "demo", [executed(f"'good' + {n}") for n in range(1, 4)])
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as db, db:
        (body,) = db.execute("SELECT body FROM events WHERE seq = 2").fetchone()
        db.execute("UPDATE events SET body = ? WHERE seq = 2", (body.replace(b"good", b"evil"),))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("log", "demo"),
        ("show", "demo@2"),
        ("find", "evil"),
        ("find", "-i", "EVIL"),
        ("find",),
        ("log", "demo", "-f"),
    ],
    ids=" ".join,
)
def test_an_altered_event_is_status_4_and_named(store: Path, arguments: tuple[str, ...]) -> None:
    told = piped(*arguments, "--directory-path", store, status=4)
    assert told.err.startswith("mcp-v8: ")
    assert len(told.err.splitlines()) == 1
    assert "event 2" in told.err


def test_what_is_whole_is_shown_all_the_same(store: Path) -> None:
    at = ("--directory-path", store)
    assert "'good' + 1" in piped("show", "demo@1", *at).out
    assert len(piped("log", "demo@1", *at).lines) == 2
    assert piped("find", "good", "-n", "1", *at, status=0).lines
    assert "demo" in piped("sessions", *at).out


@pytest.fixture
def missing(tmp_path: Path) -> Path:
    """A session "demo", of whose events number 2 is not there."""
    make(tmp_path, "demo", [executed(f"'good' + {n}") for n in range(1, 5)])
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as db, db:
        db.execute("DELETE FROM events WHERE seq = 2")
    return tmp_path


def test_a_log_shows_what_can_be_read_and_a_line_in_the_place_of_what_cannot(store: Path) -> None:
    told = piped("log", "demo", "--directory-path", store, status=4)
    lines = [" ".join(line.split()) for line in told.lines]
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3"]
    assert lines[2].startswith("2 damaged ")
    assert lines[2].endswith("does not hash to its name: the store was altered")
    assert lines[3].endswith("'good' + 3")
    assert told.err == (
        "mcp-v8: session demo is damaged, event 2 cannot be read: mcp-v8 verify says what is damaged\n"
    )
    back = piped("log", "demo", "--reverse", "--directory-path", store, status=4)
    assert back.lines == told.lines[::-1]
    assert piped("log", "demo", "--first", "3", "--directory-path", store).lines == told.lines[3:]
    *before, damaged, _ = map(
        json.loads, piped("log", "demo", "--json", "--directory-path", store, status=4).lines
    )
    assert [one["event"] for one in before] == [0, 1]
    assert (damaged["event"], damaged["type"]) == (2, "damaged")


def test_events_behind_one_that_is_missing_are_shown(missing: Path) -> None:
    at = ("--directory-path", missing)
    told = piped("log", "demo", *at, status=4)
    assert [line.split()[0] for line in told.lines] == ["0", "1", "2", "3", "4"]
    assert "damaged" in told.lines[2]
    assert "it is missing" in told.lines[2]
    assert "'good' + 3" in piped("show", "demo@3", *at).out
    assert "it is missing" in piped("show", "demo@2", *at, status=4).err
    assert piped("show", "demo@5", *at, status=3).err.startswith("mcp-v8: session demo has no event 5")


def test_a_server_ends_a_page_before_what_is_damaged(store: Path) -> None:
    with running("--directory-path", str(store)) as server:
        url = f"{server.url}/api/sessions/demo/events"
        page = httpx2.get(url).json()
        assert ([one["event"] for one in page["events"]], page["next"]) == ([0, 1], 2)
        refused = httpx2.get(url, params={"first": 2})
        assert (refused.status_code, refused.json()["code"]) == (500, "store_corrupt")
        assert [one["event"] for one in httpx2.get(url, params={"first": 3}).json()["events"]] == [3]
        told = piped("log", "demo", "--url", server.url, status=4)
    assert [line.split()[0] for line in told.lines] == ["0", "1", "2", "3"]


def test_a_damaged_session_is_not_exported(store: Path, tmp_path: Path) -> None:
    told = piped("export", "demo", "-o", tmp_path / "file", "--directory-path", store, status=4)
    assert "event 2" in told.err
    assert told.err.endswith(": mcp-v8 verify says what is damaged\n")
    assert len(told.err.splitlines()) == 1
    assert not (tmp_path / "file").exists()


def test_what_is_no_store_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"something else " * 1_000)
    for command in (("log", "a"), ("sessions",), ("find", "x"), ("show", "a")):
        told = piped(*command, "--directory-path", tmp_path, status=4)
        assert "is damaged, or no database of this program" in told.err
