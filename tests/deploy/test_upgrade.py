"""An upgrade of a store, and the way back: a backup of the old format, and the refusal of an older program."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from documents import ROOT
from server_process import running
from typed import piped

from persistence.schema import DATABASE_NAME, STORE_VERSION

OLD = ROOT / "tests" / "golden" / "stores" / "store3-events2.db"
"""As a program wrote it that knew store format 3."""


def version(store: Path) -> int:
    with closing(sqlite3.connect(f"{(store / DATABASE_NAME).as_uri()}?immutable=1", uri=True)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "store"
    directory.mkdir()
    shutil.copy(OLD, directory / DATABASE_NAME)
    return directory


def test_a_backup_keeps_the_old_format_while_the_store_gets_the_new_one(store: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    said = piped("store", "copy", backup, "--directory-path", store)
    assert "all as they were written" in said.out
    with running("--directory-path", str(store)):
        pass
    assert (version(store), version(backup)) == (STORE_VERSION, 3)
    sessions = [
        piped("sessions", "--directory-path", one, "--owner", "tester").out for one in (store, backup)
    ]
    assert sessions[0] == sessions[1]
    assert piped("verify", "--directory-path", backup).out == said.out.rpartition("The copy")[0]
    # the server may have removed what was deleted long ago
    assert "all as they were written" in piped("verify", "--directory-path", store).out


def test_an_older_program_refuses_a_newer_store_and_alters_nothing_of_it(store: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store / DATABASE_NAME)) as db:
        db.execute(f"PRAGMA user_version = {STORE_VERSION + 1}")  # to it this program is an older one
    before = (store / DATABASE_NAME).read_bytes()
    sentence = (
        f"has store format {STORE_VERSION + 1}; this program knows format {STORE_VERSION}: run the newer"
    )
    for command in (
        ("--http-port", "0"),
        ("verify",),
        ("store", "copy", tmp_path / "copy"),
    ):
        refused = piped(*command, "--directory-path", store, status=1)
        assert sentence in refused.err
        assert refused.err.count("\n") == 1
    assert (store / DATABASE_NAME).read_bytes() == before
    assert not (tmp_path / "copy").exists()
