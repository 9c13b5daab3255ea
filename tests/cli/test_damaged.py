"""What looks at a damaged store says so, in a sentence and by its status."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from made_sessions import executed, make
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


def test_what_is_no_store_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"something else " * 1_000)
    for command in (("log", "a"), ("sessions",), ("find", "x"), ("show", "a")):
        told = piped(*command, "--directory-path", tmp_path, status=4)
        assert "is damaged, or no database of this program" in told.err
