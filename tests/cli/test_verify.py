"""``mcp-v8 verify``: all that is wrong with a store is told, and what it means for whoever needs the sessions."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from checkpointing import Checkpoints
from engines import CALLER, OWNER, opened
from server_process import ServerProcess, running
from typed import environment, in_terminal, run

from persistence.schema import DATABASE_NAME, STORE_VERSION
from persistence.sqlite import open_sqlite_log

CODES = ("let n = 1", "n += 1", f"n += 2; '{'long ' * 400}'.length", "console.log('four'); n *= 2", "n *= 10")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where caches are."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A store with "demo", of 8 events; "branch", which is a fork of it at event 3; "gone", which is deleted; and
    a checkpoint of demo@7.
    """
    directory = tmp_path_factory.mktemp("sound") / "store"

    async def make() -> None:
        seen = Checkpoints()
        async with opened(directory, home / "mcp-v8", restore_target_seconds=1e9) as engine:
            for code in CODES[:4]:
                await engine.run(code, session="demo")
            await engine.supervisor.requests.tag(OWNER, "demo", at=2, tags={"stage": "early"}, caller=CALLER)
            await engine.run("for (;;);", session="demo", time_ms=50)
            await engine.supervisor.requests.fork(OWNER, "demo", at=3, into="branch", caller=CALLER)
            await engine.run("n + 100", session="branch")
            await engine.run("'short'", session="gone")
            await engine.supervisor.requests.delete(OWNER, "gone", CALLER)
        async with opened(directory, home / "mcp-v8", restore_target_seconds=0, observers=[seen]) as engine:
            await engine.run(CODES[4], session="demo")
            await seen.of(7)
        async with open_sqlite_log(directory) as log:
            (row,) = (row for row in (await log.sessions(OWNER, limit=9)).items if row.name == "demo")
            known = await log.checkpoints(row.session)
            await log.forget_checkpoints([one for one in known if one.seq != 7])

    trio.run(make)
    return directory


@pytest.fixture
def store(sound: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(sound, tmp_path / "store"))


def verify(store: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """What the command says; never a traceback."""
    ended = run("verify", *flags, "--directory-path", store, environment=environment())
    assert "Traceback" not in ended.stderr
    return ended


def alter(store: Path, *statements: str) -> None:
    with closing(sqlite3.connect(store / DATABASE_NAME, isolation_level=None)) as db:
        db.create_function("flip", 2, lambda value, at: value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :])
        names = dict(db.execute("SELECT name, session FROM sessions"))
        for statement in statements:
            assert db.execute(statement.format(**names)).rowcount > 0, "the test altered nothing"


def files(store: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def test_a_sound_store_is_told_so_and_not_altered(store: Path) -> None:
    before = files(store)
    ended = verify(store)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "3 sessions, 13 events, 1 checkpoint: all as they were written\n"
    assert files(store) == before


IS_ALTERED = "it does not hash to its name: the store was altered"
IS_MISSING = "there is none of that number"
IS_FILED_WRONGLY = "the event there is filed under wrong keys"


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (
            ["UPDATE events SET body = flip(body, 40) WHERE session = '{demo}' AND seq = 4"],
            f"""
demo: 8 events
  event 4  {IS_ALTERED}
  The states up to demo@3 can be had. To go on from there:
    mcp-v8 fork demo@3
  demo@4 and later states cannot be rebuilt from events, but from demo@7 on there is a checkpoint, which only the engine that made it can use: save what you need of it before an upgrade.
3 sessions, 13 events, 1 checkpoint: 1 fault. If there is a backup from before, restore the store from it.
""",
        ),
        (
            ["UPDATE events SET prev = flip(prev, 0) WHERE session = '{branch}' AND seq = 5"],
            f"""
branch: 2 events
  event 5  {IS_ALTERED}
  The states up to branch@4 can be had. To go on from there:
    mcp-v8 fork branch@4
  branch@5 cannot be rebuilt from events.
3 sessions, 13 events, 1 checkpoint: 1 fault. If there is a backup from before, restore the store from it.
""",
        ),
        (
            [
                "UPDATE events SET large = flip(large, 900) WHERE session = '{demo}' AND seq = 3",
                "UPDATE events SET body = flip(body, 90) WHERE session = '{demo}' AND seq IN (1, 2)",
                "DELETE FROM events WHERE session = '{demo}' AND seq = 7",
            ],
            f"""
demo: 7 events
  events 1 to 2          {IS_ALTERED}
  event 3                field code of it is missing or altered
  event 7                {IS_MISSING}
  checkpoint of event 7  it is of another state than that of its event
""",
        ),
        (
            ["UPDATE events SET large = NULL WHERE session = '{demo}' AND seq = 3"],
            "event 3  field code of it is missing or altered\n",
        ),
        (["DELETE FROM events WHERE session = '{demo}' AND seq > 1"], f"events 2 to 7          {IS_MISSING}\n"),
        (["DELETE FROM events WHERE session = '{demo}' AND seq = 3"], f"demo: 7 events\n  event 3  {IS_MISSING}\n"),
        (["DELETE FROM events WHERE session = '{demo}' AND seq = 2"], "Its own events are whole, but not all"),
        (["DELETE FROM events WHERE session = '{demo}' AND seq = 0"], "None of its states can be rebuilt"),
        (["DELETE FROM events WHERE session = '{branch}'"], f"branch: 0 events\n  events 4 to 5  {IS_MISSING}\n"),
        (["DELETE FROM sessions WHERE name = 'branch'"], "It cannot be found by its name any more"),
        (
            ["UPDATE sessions SET head_id = flip(head_id, 9) WHERE name = 'branch'"],
            "event 5  it is not the head that the session's entry names",
        ),
        (
            ["UPDATE events SET id = randomblob(32) WHERE session = '{branch}' AND seq = 4"],
            f"event 4  {IS_ALTERED}\n  event 5  it does not follow the event before it",
        ),
        (
            ["UPDATE events SET seq = 9 WHERE session = '{branch}' AND seq = 5"],
            f"events 5 to 8  {IS_MISSING}",
        ),
        (
            ["UPDATE events SET session = 'other' WHERE session = '{branch}' AND seq = 5"],
            f"branch: 1 event\n  event 5  {IS_MISSING}\n",
        ),
        (
            ["UPDATE events SET execution_id = 'e_else' WHERE session = '{branch}' AND seq = 5"],
            f"event 5  {IS_FILED_WRONGLY}",
        ),
        (
            ["UPDATE events SET owner = 'bob' WHERE session = '{branch}' AND seq = 5"],
            f"event 5  {IS_FILED_WRONGLY}",
        ),
        (
            ["UPDATE events SET status = 'crashed' WHERE session = '{branch}' AND seq = 5"],
            f"event 5  {IS_FILED_WRONGLY}",
        ),
        (
            ["UPDATE sessions SET name = 'brunch' WHERE name = 'branch'"],
            ("brunch: 2 events\n  entry  its entry has another name than its events say\n"
            "  Its events are whole, but it may be listed wrongly.\n"),
        ),
        (
            ["UPDATE tags SET value = 'late'"],
            ("demo: 8 events\n  labels  its labels are not those that its events say\n"
            "  Its events are whole: set its labels again, with mcp-v8 tag.\n"),
        ),
        (
            ["UPDATE checkpoints SET blob = '" + "0" * 64 + "'"],
            ("demo: 8 events\n  checkpoint of event 7  its blob is missing\n"
            "  Nothing is lost: where it is needed, its events are replayed instead.\n"),
        ),
        (
            ["INSERT INTO tags VALUES ('nobody', 1, 'a', 'b')"],
            "The database itself\n  there are labels of a session 'nobody' that is not there\n",
        ),
        (
            ["UPDATE events SET body = x'' WHERE session = '{gone}' AND seq = 1"],
            (f"gone (deleted): 3 events\n  event 1  {IS_ALTERED}\n"
            "  It is deleted: its events are only needed for forks of it.\n"),
        ),
    ],
)  # fmt: skip
def test_what_was_altered_is_told_with_what_it_means(store: Path, statements: list[str], told: str) -> None:
    alter(store, *statements)
    ended = verify(store)
    assert (ended.returncode, ended.stderr) == (4, "")
    assert told.removeprefix("\n") in ended.stdout


def test_events_whose_names_were_swapped_are_told(store: Path) -> None:
    with closing(sqlite3.connect(store / DATABASE_NAME)) as db:
        (session,) = db.execute("SELECT session FROM sessions WHERE name = 'demo'").fetchone()
        where = "WHERE session = ? AND seq = ?"
        names = [db.execute(f"SELECT id FROM events {where}", (session, seq)).fetchone()[0] for seq in (2, 3)]
        db.execute(f"UPDATE events SET id = x'' {where}", (session, 2))
        db.execute(f"UPDATE events SET id = ? {where}", (names[0], session, 3))
        db.execute(f"UPDATE events SET id = ? {where}", (names[1], session, 2))
        db.commit()
    ended = verify(store)
    assert ended.returncode == 4
    assert f"  events 2 to 3  {IS_ALTERED}\n" in ended.stdout
    assert "  event 4        it does not follow the event before it\n" in ended.stdout


def test_a_blob_that_was_altered_is_told(store: Path) -> None:
    for blob in store.glob("blobs/??/*"):
        blob.write_bytes(blob.read_bytes()[:-1])
    ended = verify(store)
    assert ended.returncode == 4
    assert "checkpoint of event 7  its blob was altered, or is another's" in ended.stdout


def test_the_states_that_are_said_to_be_left_can_be_had_and_the_others_cannot(
    store: Path, home: Path
) -> None:
    alter(store, "UPDATE events SET body = flip(body, 40) WHERE session = '{demo}' AND seq = 4")
    assert "up to demo@3 can be had" in verify(store).stdout

    def value(at: int) -> tuple[int, str]:
        environ = {**os.environ, "XDG_CACHE_HOME": str(home)}
        ended = run("state", f"demo@{at}", "n", "--directory-path", store, environment=environ)
        return ended.returncode, ended.stdout

    assert value(3) == (0, "4\n")
    assert value(7) == (0, "80\n"), "from the checkpoint"
    assert value(6)[0] == 4


def test_a_database_that_is_no_store_is_one_sentence(store: Path) -> None:
    path = store / DATABASE_NAME
    data = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {STORE_VERSION + 1}")
    ended = verify(store)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"mcp-v8: {path} has store format {STORE_VERSION + 1}; this program knows format {STORE_VERSION}: "
        "run the newer mcp-v8 that wrote it, or choose another directory\n"
    )
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA application_id = 7")
    ended = verify(store)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr == f"mcp-v8: {path} is a database of another program: choose another directory\n"
    path.write_bytes(b"x" * 5_000)
    ended = verify(store)
    assert ended.returncode == 4
    assert ended.stderr.startswith(f"mcp-v8: {path} is damaged, or no database of this program")
    path.write_bytes(data[:4_096] + b"\0" * (len(data) - 4_096))
    assert verify(store).returncode == 4
    path.unlink()
    ended = verify(store)
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"mcp-v8: there is no store in {store}: ")


def test_json_is_a_line_for_each_session_and_one_that_says_what_it_came_to(store: Path) -> None:
    alter(store, "UPDATE events SET body = flip(body, 40) WHERE session = '{demo}' AND seq = 4")
    ended = verify(store, "--json")
    *sessions, end = map(json.loads, ended.stdout.splitlines())
    assert (ended.returncode, ended.stderr) == (4, "")
    assert {
        one["session"]: (one["sound_to"], one["restorable_from"], one["deleted"]) for one in sessions
    } == {
        "demo": (3, 7, False),
        "branch": (5, None, False),
        "gone": (2, None, True),
    }
    assert [(one["number"], one["of"]) for one in sessions] == [(1, 3), (2, 3), (3, 3)]
    fault = {"kind": "damaged", "what": IS_ALTERED, "first": 4, "last": 4}
    assert sessions[0]["faults"] == [fault]
    assert (end["type"], end["damaged"], end["faults"], end["sound"]) == ("end", 1, 1, False)


def test_on_a_terminal_it_is_in_colours_and_says_how_far_it_is(store: Path) -> None:
    shown = in_terminal("verify", "--directory-path", store)
    assert "verifying: 1/3 sessions\r" in shown.out
    assert "\x1b[32mall as they were written\x1b[0m\n" in shown.out
    alter(store, "UPDATE events SET body = flip(body, 40) WHERE session = '{demo}' AND seq = 4")
    shown = in_terminal("verify", "--directory-path", store, columns=50, status=4)
    (line,) = (line for line in shown.lines if "does not hash" in line)
    assert "\x1b[31mevent 4\x1b[0m" in shown.out
    assert (len(line), line[-1]) == (50, "…")


def test_an_owner_is_told_of_his_own_sessions(store: Path) -> None:
    alter(store, "UPDATE tags SET value = 'late'")
    assert verify(store, "--owner", "tester").returncode == 4
    other = verify(store, "--owner", "nobody")
    assert (other.returncode, other.stdout) == (3, "")


# --- of a server ----------------------------------------------------------------------------------


@pytest.fixture
def server(store: Path) -> Iterator[ServerProcess]:
    with closing(sqlite3.connect(store / DATABASE_NAME)) as db:
        db.execute("UPDATE sessions SET owner = 'local'")
        db.commit()
    with running("--directory-path", str(store)) as server:
        yield server


def test_a_server_checks_the_sessions_of_who_asks(store: Path, server: ServerProcess) -> None:
    url = f"http://127.0.0.1:{server.port}"
    ended = run("verify", "--url", url)
    assert ended.returncode == 4
    assert "demo: 8 events\n  entry  its entry has another owner than its events say\n" in ended.stdout
    beside = verify(store)
    assert (beside.returncode, beside.stderr) == (4, ""), "and who has the store may read it meanwhile"
    assert beside.stdout == ended.stdout
