"""``mcp-v8 export`` and ``mcp-v8 import``: files go from store to store, and nothing that is wrong is taken."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from backports import zstd
from engines import CALLER, OWNER, Engine, opened
from portable_files import check, file_of, lines_of, long_history, packed
from server_process import COMMAND, ServerProcess, running
from typed import completed

from engine.importcheck import REDACTED
from persistence.schema import DATABASE_NAME

SECRET = "sk-live-9f8e7d6c5b4a"
WORD = 'hunter2"ünï\\n'
"""A secret that JSON and JavaScript write in other ways than it reads."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where caches and default stores are."""
    return tmp_path_factory.mktemp("home")


async def _fill(engine: Engine) -> None:
    run, supervisor = engine.run, engine.supervisor
    await run(f"const key = '{SECRET}'; console.log('key is', key); key", session="demo")
    await run(
        "console.warn(input.password); input", session="demo", input=json.dumps({"password": WORD, "n": 1})
    )
    await run(f"throw new TypeError('refused {SECRET}', {{ cause: new Error(key) }})", session="demo")
    await run(f"/* {SECRET} */ for (;;);", session="demo", time_ms=50)
    await run(f"JSON.parse('{{{SECRET}')", session="demo", idempotency_key=SECRET)
    tags: dict[str, str | None] = {SECRET: "key", "note": f"of {SECRET}"}
    await supervisor.requests.tag(OWNER, "demo", at=1, tags=tags, caller=CALLER)
    await supervisor.requests.fork(OWNER, "demo", at=2, into="branch", caller=CALLER)
    await run("[key.length, input]", session="branch", input="2")
    await run("crypto.randomUUID()", session="branch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A store with "demo" and its fork "branch", in which a secret is everywhere."""
    directory = tmp_path_factory.mktemp("made") / "store"

    async def make() -> None:
        async with opened(directory, home / "mcp-v8") as engine:
            await _fill(engine)

    trio.run(make)
    return directory


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(made, tmp_path / "store"))


@pytest.fixture
def demo(store: Path, tmp_path: Path) -> Path:
    """The file of "demo"."""
    return exported(store, "demo", tmp_path / "demo.jsonl.zst")


def cli(
    *arguments: str | Path, given: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """What the command says; never a traceback."""
    ended = completed(*arguments, given=given or b"", environment={**os.environ, **environment})
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    return ended


def said(ended: subprocess.CompletedProcess[bytes], status: int = 0) -> str:
    """All that it says, which ends with that status."""
    text = (ended.stdout + ended.stderr).decode()
    assert ended.returncode == status, text
    return text


def exported(store: Path, session: str, path: Path, *flags: str) -> Path:
    text = said(cli("export", session, "-o", path, "--directory-path", store, *flags))
    assert text.startswith(f"exported {session}: ")
    return path


def events(store: Path) -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(store / DATABASE_NAME)) as db:
        return set(db.execute("SELECT session, seq, id, body, large FROM events"))


def content(store: Path) -> str:
    """A hash of every file there, but for what SQLite keeps for those that have it open."""
    names = sorted(path for path in store.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return sha256(b"".join(path.name.encode() + path.read_bytes() for path in names)).hexdigest()


def test_a_session_goes_from_one_store_to_another(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for session, last in (("branch", 5), ("demo", 6)):
        before = content(store)
        file = exported(store, session, tmp_path / session)
        assert content(store) == before
        head = check(file.read_bytes())[-1].id.hex()
        place = f"{last + 1} events, head {session}@{last} {head}\n"
        assert said(cli("import", "--check", file)) == f"whole: session {session} of {OWNER}, {place}"
        assert said(cli("import", file, "--directory-path", other)) == f"imported {session}: {place}"
        again = said(cli("import", file, "--directory-path", other))
        assert again == f"{session} is there already: {place}"
    assert events(store) == events(other)
    for command in (("verify",), ("replay", "--all"), ("state", "branch", "key.length")):
        said(cli(*command, "--directory-path", other))
    for command in (("show", "demo@3"), ("log", "branch")):
        told = [cli(*command, "--json", "--directory-path", place).stdout for place in (store, other)]
        assert told[0] == told[1]


def test_both_tell_json(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    told = json.loads(said(cli("export", "demo", "-o", file, "--json", "--directory-path", store)))
    head = check(file.read_bytes())[-1].id.hex()
    assert told == {
        "session": "demo",
        "event": 6,
        "head": head,
        "events": 7,
        "redacted": False,
        "bytes": file.stat().st_size,
    }
    told = json.loads(said(cli("import", file, "--json", "--directory-path", tmp_path / "other")))
    assert (told["session"], told["owner"], told["event"], told["head"]) == ("demo", OWNER, 6, head)
    assert told["imported"]
    assert not json.loads(said(cli("import", "--check", file, "--json")))["imported"]


def test_files_go_through_pipes(store: Path, tmp_path: Path) -> None:
    ended = cli("export", "demo", "--directory-path", store)
    assert ended.returncode == 0
    assert ended.stderr.startswith(b"exported demo: 7 events, head demo@6 ")
    assert check(ended.stdout)
    assert said(cli("import", "-", "--directory-path", tmp_path / "other", given=ended.stdout)).startswith(
        "imported"
    )
    assert "give the file's name" in said(cli("export", "demo", "--json", "--directory-path", store), 2)


def test_a_session_goes_from_a_server_to_another(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    with (
        running("--directory-path", str(tmp_path / "one")) as one,
        running("--directory-path", str(tmp_path / "two")) as two,
    ):
        said(cli("exec", "let n = 41", "--session", "a", "--url", one.url)) if False else _run(
            one, "let n = 41", "a"
        )
        _run(one, "++n", "a")
        assert said(cli("export", "a", "-o", file, "--url", one.url)).startswith("exported a: 3 events")
        assert said(cli("import", file, "--url", two.url)).startswith("imported a: 3 events, head a@2 ")
        assert said(cli("import", file, "--url", two.url)).startswith("a is there already")
        assert said(cli("state", "a", "n", "--url", two.url)) == "42\n"
        foreign = exported(store, "demo", tmp_path / "foreign")
        assert f"belongs to '{OWNER}', and you are 'local'" in said(
            cli("import", foreign, "--url", two.url), 1
        )
        offline = cli("export", "a", "--directory-path", tmp_path / "one")
        assert [one.id for one in check(offline.stdout)] == [one.id for one in check(file.read_bytes())]
        refused = said(cli("import", file, "--directory-path", tmp_path / "one"), 1)
        assert "--url" in refused
        _run(two, "n", "a")
        assert "the session here is longer" in said(cli("import", file, "--url", two.url), 1)
        assert "does not answer" in said(cli("import", file, "--url", "http://127.0.0.1:1"), 1)


def _run(server: ServerProcess, code: str, session: str) -> None:
    answer = httpx2.post(f"{server.url}/api/exec", json={"code": code, "session": session}, timeout=40)
    assert answer.json()["status"] == "completed", answer.text


def damages(file: bytes) -> Iterator[tuple[str, bytes]]:
    """What can have become of a file."""
    lines = lines_of(file)
    yield "cut in the middle", file[: len(file) // 2]
    yield "without its last byte", file[:-1]
    yield "with a byte more", file + b"\0"
    yield "empty", b""
    for at in range(4, len(file), len(file) // 4):
        yield f"flipped at {at}", file[:at] + bytes([file[at] ^ 0x55]) + file[at + 1 :]
    for number in (0, 1, len(lines) // 2, len(lines) - 1):
        yield f"cut after line {number}", packed(lines[:number])
    yield "two lines changed places", packed([lines[0], lines[2], lines[1], *lines[3:]])
    yield "a line is missing", packed([*lines[:3], *lines[4:]])
    yield "another session in the first line", packed([lines[0].replace(b"demo", b"prod"), *lines[1:]])
    yield "another program's", zstd.compress(b"hello\n" * 100)


def test_every_damage_is_a_sentence_with_status_4_and_leaves_the_store_as_it_was(
    demo: Path, tmp_path: Path
) -> None:
    store, damaged = tmp_path / "other", tmp_path / "damaged"
    said(
        cli("import", exported(tmp_path / "store", "branch", tmp_path / "branch"), "--directory-path", store)
    )
    before = content(store)
    assert len(events(store)) == 6
    for what, data in damages(demo.read_bytes()):
        damaged.write_bytes(data)
        text = said(cli("import", damaged, "--directory-path", store), 4)
        assert text.startswith("mcp-v8: this is no whole file of `mcp-v8 export`"), what
        assert text.count("\n") == 1, what
    assert content(store) == before
    assert said(cli("import", "--check", damaged), 4)


def test_files_that_are_too_large_name_the_flag(demo: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(zstd.compress(bytes(65 << 20)))
    text = said(
        cli("import", bomb, "--max-import-bytes", "1000000", "--directory-path", tmp_path / "other"), 1
    )
    assert "over 1,000,000 bytes unpacked" in text
    assert "--max-import-bytes" in text
    text = said(cli("import", "--check", bomb, "--max-import-bytes", str(1 << 30)), 1)
    assert "line 1 of the file has over 67,108,864 bytes" in text
    said(cli("import", "--check", demo, MCP_V8_MAX_IMPORT_BYTES="2000"), 1)
    said(cli("import", "--check", demo))


def test_a_taken_name_and_a_wrong_owner_are_conflicts(demo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with running("--directory-path", str(other)) as server:
        _run(server, "1", "demo")
    assert said(cli("import", demo, "--directory-path", other)).startswith("imported"), (
        "owners have names of their own"
    )
    refused = said(cli("import", demo, "--owner", "local", "--directory-path", other), 1)
    assert f"belongs to '{OWNER}', and you are 'local'" in refused
    several = said(cli("export", "demo", "-o", tmp_path / "x", "--directory-path", other), 2)
    assert "choose by --owner" in several
    assert not (tmp_path / "x").exists()


def test_a_pipe_with_a_name_is_written_to_and_stays_one(store: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit(pipe.read_bytes)
        exported(store, "demo", pipe)
    assert pipe.is_fifo()
    said(cli("import", "-", "--directory-path", tmp_path / "other", given=read.result()))


def test_a_file_that_cannot_be_written_is_told(store: Path, tmp_path: Path) -> None:
    text = said(cli("export", "demo", "-o", tmp_path / "none" / "x", "--directory-path", store), 1)
    assert text == f"mcp-v8: {tmp_path}/none/x cannot be written: No such file or directory\n"
    assert "there is no session nobody" in said(
        cli("export", "nobody", "-o", tmp_path / "x", "--directory-path", store), 3
    )
    assert [path.name for path in tmp_path.iterdir()] == ["store"], "nothing is left of what was not written"


def test_an_export_of_a_damaged_session_names_the_event(store: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store / DATABASE_NAME)) as db:
        db.execute("UPDATE events SET body = zeroblob(9) WHERE execution_id IS NOT NULL AND seq = 4")
        db.commit()
    (tmp_path / "x").write_text("older")
    text = said(cli("export", "demo", "-o", tmp_path / "x", "--directory-path", store), 4)
    assert "event 4" in text
    assert (tmp_path / "x").read_text() == "older"


@pytest.mark.parametrize("session", ["demo", "branch"])
def test_redaction_leaves_no_trace_of_a_secret(store: Path, tmp_path: Path, session: str) -> None:
    plain = b"".join(lines_of(exported(store, session, tmp_path / "plain").read_bytes()))
    file = exported(
        store, session, tmp_path / "file", "--redact", r"sk-live-\w+", "--redact", 'hunter2"ünï.n'
    )
    lines = [json.loads(line) for line in lines_of(file.read_bytes())]
    text = zstd.decompress(file.read_bytes()).decode()
    assert "[redacted]" in text
    for part in (SECRET, SECRET[:11], SECRET[-9:], "hunter2", "ünï"):
        assert part not in text
    whole = check((tmp_path / "plain").read_bytes())
    for record in whole:
        for hashed in (record.id, record.prev, getattr(record.event, "digest", record.id)):
            assert hashed.hex() not in text or hashed == bytes(32)
        trace = getattr(record.event, "trace", None)
        assert trace is None or trace.seed.hex() not in text
    assert plain.count(b"\n") == len(lines)
    assert lines[0]["redacted"]
    assert lines[0]["head"] is None
    assert lines[-1] == {"end": True, "head": None}
    assert [line["event"] for line in lines[1:-1]] == list(range(len(whole)))
    uuid = getattr(whole[-1].event, "outcome", None)
    if session == "branch":
        assert uuid.result.strip("'") in text, "what no pattern matches is there"


def test_a_redacted_file_says_that_it_can_neither_be_verified_nor_imported(
    store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    text = said(cli("export", "demo", "-o", file, "--redact", "x{9}", "--directory-path", store))
    assert text.endswith("It is redacted: it cannot be verified, nor imported.\n")
    for command in (("import", file, "--directory-path", tmp_path / "other"), ("import", "--check", file)):
        assert said(cli(*command), 1) == f"mcp-v8: {REDACTED}\n"
    with running("--directory-path", str(tmp_path / "one")) as server:
        answer = httpx2.post(f"{server.url}/api/import", content=file.read_bytes())
        assert answer.json()["error"] == REDACTED
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("pattern", "why"),
    [("(", "is no regular expression"), ("x*", "matches where there is nothing"), ("", "matches")],
)
def test_a_pattern_that_cannot_be_meant_is_refused(store: Path, pattern: str, why: str) -> None:
    assert why in said(cli("export", "demo", "--redact", pattern, "--directory-path", store), 2)


def test_names_and_owners_are_masked_too(store: Path, tmp_path: Path) -> None:
    file = exported(store, "branch", tmp_path / "file", "--redact", OWNER, "--redact", "branch|demo|pytest")
    text = zstd.decompress(file.read_bytes()).decode()
    for word in (OWNER, "branch", "demo", "pytest"):
        assert word not in text


def test_an_import_that_is_killed_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(file_of(long_history(1_000, 2_000)))
    command = [COMMAND, "import", str(file), "--directory-path"]
    began = time.monotonic()
    said(cli("import", file, "--directory-path", tmp_path / "whole"))
    took = time.monotonic() - began
    for share in (0.4, 0.6, 0.7, 0.8, 0.9, 0.95):
        store = tmp_path / str(share)
        with subprocess.Popen([*command, str(store)], stdout=subprocess.DEVNULL) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(share * took)
            process.kill()
        if not (store / DATABASE_NAME).exists():
            continue
        assert not [path for path in store.iterdir() if path.name.startswith("import-")]
        with closing(sqlite3.connect(store / DATABASE_NAME)) as db:
            found = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
            assert not found or db.execute("SELECT count(*) FROM events").fetchone()[0] in (0, 1_001)
        assert "long: 1,001 events" in said(cli(*command[1:], store)).replace(" is there already", "")
        said(cli("verify", "--directory-path", store))
