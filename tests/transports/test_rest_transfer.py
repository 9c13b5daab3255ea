"""Sessions leave a server as files and come into another, over HTTP."""

from __future__ import annotations

import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import msgspec
import pytest
from portable_files import check, file_of, lines_of, long_history, packed
from rest_client import refused, run, told
from server_process import ServerProcess, running

ANN, BOB = "token-of-ann-000001", "token-of-bob-000002"
MEDIA = "application/zstd"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """Another server, with a store of its own."""
    store = tmp_path_factory.mktemp("other")
    with (
        running("--directory-path", str(store)) as server,
        httpx2.Client(base_url=server.url, timeout=40) as client,
    ):
        yield client


def export(client: httpx2.Client, session: str) -> bytes:
    answer = client.get(f"/api/sessions/{session}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA
    assert answer.headers["content-disposition"] == f'attachment; filename="{session}.jsonl.zst"'
    return answer.content


def import_(client: httpx2.Client, file: bytes, **options: str) -> httpx2.Response:
    return client.post("/api/import", content=file, headers={"content-type": MEDIA, **options})


def test_a_session_goes_to_another_server_and_goes_on_there(
    client: httpx2.Client, other: httpx2.Client, name: str
) -> None:
    run(client, "let xs = [1, 2]; console.log('made')", name)
    run(client, "xs.push(3); xs", name)
    fork = told(client.post(f"/api/sessions/{name}/fork", json={"event": 1, "name": f"{name}-fork"}))[
        "session"
    ]
    run(client, "xs.push(Math.random()); xs.length", fork)
    client.put(f"/api/sessions/{fork}/tags", json={"event": 1, "tags": {"stage": "raw"}})
    for session in (fork, name):
        file = export(client, session)
        answer = import_(other, file)
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/api/sessions/{session}"
        here, there = (told(one.get(f"/api/sessions/{session}")) for one in (client, other))
        assert {**here, "awake": False} == {**there, "awake": False}
        assert told(answer) == {
            "session": session,
            "owner": "local",
            "event": here["event"],
            "head": check(file)[-1].id.hex(),
            "heap": here["heap"],
            "events": here["events"],
            "imported": True,
        }
        again = import_(other, file)
        assert (again.status_code, told(again)) == (200, {**told(answer), "imported": False})
        for path in ("events", "state"):
            assert told(client.get(f"/api/sessions/{session}/{path}")) == told(
                other.get(f"/api/sessions/{session}/{path}")
            )
        lines = other.get(f"/api/sessions/{session}/replay").text.splitlines()
        assert '"different":0' in lines[-1]
    assert run(other, "xs", name)["result"] == "[ 1, 2, 3 ]"


def test_a_session_that_goes_on_while_it_is_exported_is_exported_as_it_was(
    client: httpx2.Client, name: str
) -> None:
    for number in range(20):
        run(client, f"'{number:09999}'", name)
    with client.stream("GET", f"/api/sessions/{name}/export") as answer:
        chunks = answer.iter_bytes(1_000)
        file = next(chunks)
        run(client, "'late'", name)
        file += b"".join(chunks)
    assert check(file)[-1].event.seq == 20


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/api/sessions/nobody/export", "GET", 404, "not_found"),
        ("/api/sessions/nobody/export?x=1", "GET", 400, "invalid_field"),
        ("/api/sessions/nobody/export", "POST", 405, "method_not_allowed"),
        ("/api/import", "GET", 405, "method_not_allowed"),
        ("/api/import", "POST", 422, "file_corrupt"),
    ],
)
def test_what_cannot_be_served_is_told_in_a_sentence(
    client: httpx2.Client, path: str, method: str, status: int, code: str
) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, told(answer)["code"]) == (status, code)


def test_a_damaged_file_is_refused_and_nothing_of_it_is_there(
    client: httpx2.Client, other: httpx2.Client, name: str
) -> None:
    run(client, "1", name)
    file = export(client, name)
    for damaged in (file[:-1], file + b"x", packed(lines_of(file)[:-1]), b"hello"):
        refused(import_(other, damaged), 422, "file_corrupt", "file")
        refused(other.get(f"/api/sessions/{name}"), 404, "not_found", "session")
    redacted = packed([lines_of(file)[0].replace(b'"redacted":false', b'"redacted":true')])
    assert "was redacted" in refused(import_(other, redacted), 400, "invalid_field", "file")
    assert import_(other, file).status_code == 201


def test_a_file_that_is_refused_early_is_answered_though_it_is_long(other: httpx2.Client) -> None:
    file = file_of(long_history(400, 20_000))
    assert len(file) > 4 << 20
    damaged = packed([lines_of(file)[2], *lines_of(file)])
    said = refused(import_(other, damaged), 422, "file_corrupt", "file")
    assert "does not begin as `mcp-v8 export` begins a file" in said


def test_another_session_of_that_name_is_a_conflict(
    client: httpx2.Client, other: httpx2.Client, name: str
) -> None:
    run(client, "1", name)
    run(other, "2", name)
    said = refused(import_(other, export(client, name)), 409, "conflict", "session")
    assert f"there is another session {name} here" in said
    assert run(other, "3", name)["event"] == 2


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    file = file_of(long_history(20, 1_000))
    flags = ("--directory-path", str(tmp_path), "--max-import-bytes", "8192")
    with running(*flags) as server, httpx2.Client(base_url=server.url) as client:
        said = refused(import_(client, file), 413, "too_large", "file")
        assert "over 8,192 bytes" in said
        assert "--max-import-bytes" in said
        assert import_(client, file_of(long_history(1, 100))).status_code == 201


def test_a_server_can_be_told_to_take_nothing_in(tmp_path: Path) -> None:
    flags = ("--directory-path", str(tmp_path), "--max-import-bytes", "0")
    with running(*flags) as server, httpx2.Client(base_url=server.url) as client:
        assert "takes nothing in" in refused(import_(client, file_of(long_history(1, 9))), 409, "conflict")


def test_an_import_is_in_the_log_with_who_asked(tmp_path: Path) -> None:
    flags = ("--directory-path", str(tmp_path), "--log-format", "json")
    with running(*flags) as server, httpx2.Client(base_url=server.url) as client:
        for file in (file_of(long_history(3, 9)), b"damaged"):
            import_(client, file, **{"user-agent": "backup/2", "x-request-id": "r7"})
    told = [msgspec.json.decode(line) for line in server.log.splitlines()]
    first, second = (entry for entry in told if entry["event"] == "import")
    who = {"transport": "rest", "client": "backup", "client_version": "2", "request_id": "r7"}
    assert {"session": "long", "seq": 3, **who}.items() <= first.items()
    assert {"error": "file_corrupt", **who}.items() <= second.items()


def test_each_owner_exports_and_imports_its_own(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{ANN} ann\n{BOB} bob\n")
    tokens.chmod(0o600)
    flags = ("--directory-path", str(tmp_path / "store"), "--tokens", str(tokens))
    with running(*flags) as server, httpx2.Client(base_url=server.url, timeout=40) as client:
        ann, bob = ({"authorization": f"Bearer {token}"} for token in (ANN, BOB))
        for who in (ann, bob):
            body = {"code": "1", "session": "same"}
            assert client.post("/api/exec", json=body, headers=who).status_code == 200
        file = client.get("/api/sessions/same/export", headers=ann).content
        assert {record.event.seq for record in check(file, owner="ann")} == {0, 1}
        said = refused(import_(client, file, **bob), 409, "conflict", "file")
        assert "belongs to 'ann', and you are 'bob'" in said
        assert import_(client, file, **ann).status_code == 200
        assert import_(client, file).status_code == 401
        assert client.get("/api/sessions/same/export").status_code == 401


def test_an_export_of_a_damaged_session_is_cut_off(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running("--directory-path", str(store)) as server, httpx2.Client(base_url=server.url) as client:
        assert import_(client, file_of(long_history(300, 100))).status_code == 201
    with closing(sqlite3.connect(store / "events.db")) as db:
        db.execute("UPDATE events SET body = zeroblob(9) WHERE seq = 299")
        db.commit()
    with running("--directory-path", str(store)) as server, httpx2.Client(base_url=server.url) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get("/api/sessions/long/export")
        assert client.get("/healthz").status_code == 200
    assert "store_corrupt: session" in server.log


def high_water(pid: int) -> int:
    """Most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


def test_ten_thousand_events_go_in_and_out_in_bounded_memory(tmp_path: Path) -> None:
    records = long_history(10_000, 4_000)
    file = file_of(records)
    assert len(file) > 25 << 20
    with (
        running("--directory-path", str(tmp_path)) as server,
        httpx2.Client(base_url=server.url, timeout=120) as client,
    ):
        import_(client, file_of(long_history(1, 100), session="x"))  # what it takes at all
        client.post("/mcp", json={})  # whatever the answer: MCP's SDK is imported for it
        before = high_water(server.process.pid)
        assert import_(client, file).status_code == 201
        again = export(client, "long")
        assert high_water(server.process.pid) - before < 45 << 20
    assert check(again) == records


@pytest.mark.parametrize("share", [0.3, 0.9, 1.0])
def test_a_server_that_is_killed_during_an_import_has_all_of_it_or_nothing(
    tmp_path: Path, share: float
) -> None:
    file = file_of(long_history(600, 4_000))
    server = ServerProcess("--directory-path", str(tmp_path))

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(file), 1 << 16):
            if at >= share * len(file):
                server.process.kill()
            yield file[at : at + (1 << 16)]
        server.process.kill()

    with httpx2.Client(base_url=server.url, timeout=40) as client, pytest.raises(httpx2.TransportError):
        client.post("/api/import", content=pieces())
    assert server.wait() == -signal.SIGKILL
    names = {path.name for path in tmp_path.iterdir()}
    assert not [name for name in names if name.startswith("import-")]
    with running("--directory-path", str(tmp_path)) as server, httpx2.Client(base_url=server.url) as client:
        found = client.get("/api/sessions/long")
        assert found.status_code == 404 or told(found)["events"] == 601
        assert import_(client, file).status_code == (201 if found.status_code == 404 else 200)
        assert client.get("/api/sessions/long/events?first=599").status_code == 200
