"""``mcp-v8`` as its operator sees it: starting, refusing to start, and ending."""

from __future__ import annotations

import json
import os
import pty
import resource
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import kernels
import pytest
from server_process import COMMAND, ServerProcess, running
from typed import run


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, without a terminal."""
    return run(*arguments, environment={**os.environ, **environ})


def refused(ended: subprocess.CompletedProcess[str], status: int) -> str:
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.stderr


@pytest.mark.parametrize("arguments", [("--version",), ("-h",), ("--help",), ("serve", "--help")])
def test_version_and_help_are_on_stdout(arguments: tuple[str, ...]) -> None:
    ended = command(*arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "mcp-v8" in ended.stdout
    if "--version" not in arguments:
        assert "--http-port" in ended.stdout
        assert "--drain-seconds" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--http-port"),
        (("--http-port", "x"), "--http-port"),
        (("--http-port", "70000"), "--http-port"),
        (("--http-port", "0", "--max-workers", "0"), "--max-workers"),
        (("--http-port", "0", "--stateless", "--directory-path", "d"), "--directory-path"),
        (("--http-port", "0", "--execution-timeout", "400"), "--max-execution-timeout"),
        (("--http-port", "0", "--heap-memory", "2000"), "--heap-memory-max"),
        (("--http-port", "0", "--log-format", "xml"), "--log-format"),
        (("--http-prot", "0"), "--http-port"),
        (("--http-port", "0", "--execution-timeout", "nan"), "--execution-timeout"),
        (("--http-port", "0", "--drain-seconds", "NaN"), "--drain-seconds"),
        (("--http-port", "0", "--directory-path", ""), "--directory-path"),
        (("--http-port", "0", "--allowed-hosts", "a.example,http://b.example"), "http://b.example"),
        (("--http-port", "0", "--allowed-hosts", "a.example:80"), "a.example:80"),
        (("--http-port", "0", "--allowed-hosts", "[::1]:80"), "[::1]:80"),
        (("--http-port", "0", "--allowed-hosts", "a.example/x"), "a.example/x"),
    ],
)
def test_wrong_usage_is_status_2_and_names_the_flag(arguments: tuple[str, ...], named: str) -> None:
    assert named in refused(command(*arguments), 2)


@pytest.mark.parametrize("value", ["abc", "70000", "-1", "8080.5"])
def test_a_port_variable_that_is_no_port_is_named(value: str) -> None:
    told = refused(command(PORT=value), 2)
    assert f"PORT is {value!r}" in told
    assert "--http-port" not in told


def test_a_maximum_below_the_default_lowers_it_and_below_a_choice_is_refused() -> None:
    with running("--stateless", "--max-execution-timeout", "0.5", "--heap-memory-max", "64") as server:
        answer = httpx2.post(f"{server.url}/api/exec", json={"code": "for (;;);"}, timeout=30).json()
    assert answer["status"] == "timed_out"
    assert answer["duration_ms"] < 5_000
    chosen = ("--http-port", "0", "--max-execution-timeout", "10", "--execution-timeout", "20")
    assert "--max-execution-timeout" in refused(command(*chosen), 2)


def test_without_a_port_a_terminal_gets_help() -> None:
    primary, secondary = pty.openpty()
    ended = subprocess.run(
        [COMMAND], stdin=secondary, capture_output=True, text=True, timeout=60, check=False
    )
    os.close(primary)
    os.close(secondary)
    assert ended.returncode == 0
    assert "--http-port" in ended.stdout


def test_a_port_that_is_taken_is_one_sentence_and_status_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused(command("--http-port", str(port), "--stateless"), 1)
        sse = refused(command("--sse-port", str(port), "--stateless"), 1)
    why = "the port is taken: choose another one with"
    assert told == f"mcp-v8: cannot listen on 127.0.0.1:{port}: {why} --http-port\n"
    assert sse == f"mcp-v8: cannot listen on 127.0.0.1:{port}: {why} --sse-port\n"


def test_an_address_of_another_machine_is_one_sentence_and_status_1() -> None:
    told = refused(command("--http-port", "0", "--bind-host", "192.0.2.1", "--stateless"), 1)
    why = "this machine does not have that address: choose one with --bind-host"
    assert told == f"mcp-v8: cannot listen on 192.0.2.1:0: {why}\n"


@pytest.fixture
def some_user(tmp_path: Path) -> list[str]:
    """The words before a command that run it as a user without rights, but for reading this program."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    for parent in tmp_path.parents[:3]:
        if parent != Path(parent.root):
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    who = ["setpriv", "--reuid=64001", "--regid=64001", "--clear-groups"]
    homes = [f"HOME={tmp_path}", f"XDG_CACHE_HOME={tmp_path}/cache"]
    return [*who, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "env", *homes, COMMAND]


def as_some_user(some_user: list[str], *arguments: str) -> str:
    ended = subprocess.run(
        [*some_user, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return refused(ended, 1)


@pytest.mark.parametrize(("below", "mode"), [("", 0o755), ("below", 0o755), ("", 0o700)])
def test_a_store_of_another_user_is_one_sentence_that_says_whose_and_what_to_do(
    tmp_path: Path, some_user: list[str], below: str, mode: int
) -> None:
    store = tmp_path / "volume" / below
    (tmp_path / "volume").mkdir(mode=mode)
    told = as_some_user(some_user, "--http-port", "0", "--directory-path", str(store))
    assert told == (
        f"mcp-v8: user 64001 cannot write the store in {store}: {tmp_path / 'volume'} belongs to user 0 "
        "(Permission denied): `chown -R 64001` what is mounted there, or take a named volume, or choose another "
        "directory with --directory-path\n"
    )


@pytest.mark.parametrize("name", ["lock", "events.db", "events.db-wal"])
def test_a_file_of_another_user_in_the_store_is_named(
    tmp_path: Path, some_user: list[str], name: str
) -> None:
    store = tmp_path / "store"
    server = ServerProcess("--directory-path", str(store))
    httpx2.post(f"{server.url}/api/exec", json={"code": "1"}, timeout=30).raise_for_status()
    assert server.terminate(signal.SIGKILL) == -signal.SIGKILL
    for path in (store, *store.iterdir()):
        os.chown(path, 64_001, 64_001)
    os.chown(store / name, 0, 0)
    told = as_some_user(some_user, "--http-port", "0", "--directory-path", str(store))
    assert len(told.splitlines()) == 1
    assert str(store) in told
    assert "chown -R 64001" in told, told


def test_a_port_that_only_root_may_use_is_one_sentence_and_status_1(some_user: list[str]) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("every user may use any port here")
    told = as_some_user(some_user, "--http-port", "80", "--stateless")
    why = "user 64001 may not use such a low port: choose a higher one with --http-port"
    assert told == f"mcp-v8: cannot listen on 127.0.0.1:80: {why}\n"


def test_a_directory_that_cannot_be_made_is_one_sentence_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = refused(command("--http-port", "0", "--directory-path", str(tmp_path / "file" / "x")), 1)
    assert len(told.splitlines()) == 1
    assert str(tmp_path) in told


def test_a_store_of_another_server_is_one_sentence_and_status_1(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)):
        told = refused(command("--http-port", "0", "--directory-path", str(tmp_path)), 1)
    assert len(told.splitlines()) == 1


def test_a_corrupt_store_is_status_4(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"this is no database" * 1000)
    told = refused(command("--http-port", "0", "--directory-path", str(tmp_path)), 4)
    assert len(told.splitlines()) == 1


def test_the_start_tells_where_it_listens_what_it_keeps_and_what_to_try(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server:
        log = server.log
        assert f"Listening on {server.url}" in log
        assert f"Store: {tmp_path}" in log
        assert "Sandbox: " in log
        tried = next(line for line in log.splitlines() if line.startswith("Try: "))
        *curl, url, _, header, _, body = shlex.split(tried.removeprefix("Try: "))
        assert (curl, header) == (["curl", "-X", "POST"], "Content-Type: application/json")
        headers = {"content-type": "application/json"}
        answer = httpx2.post(url, content=body, headers=headers, timeout=30).json()
    assert answer["result"] == "3"


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_the_sandbox_in_force_is_announced_and_shown(mode: str) -> None:
    with running("--stateless", "--sandbox", mode) as server:
        shown = httpx2.get(f"{server.url}/readyz").json()["sandbox"]
        assert f"\nSandbox: {mode}: " in server.log
        assert (shown["mode"], shown["seccomp"]) == (mode, mode != "off")
        assert ("the sandbox is off" in server.log) == (mode == "off")


def test_a_kernel_without_landlock_is_told_and_strict_refuses_it(tmp_path: Path) -> None:
    flags = ["--http-port", "0", "--directory-path", str(tmp_path), "--sandbox", "strict"]
    ended = subprocess.run(
        [COMMAND, *flags],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: kernels.refuse(kernels.LANDLOCK, kernels.ENOSYS),
        check=False,
    )
    told = refused(ended, 1)
    assert told.startswith(
        "mcp-v8: --sandbox strict demands every layer, but this kernel or container has no "
    )


def test_a_store_is_announced_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running("--directory-path", "kept") as server:
        assert f"Store: {tmp_path / 'kept'}\n" in server.log
        assert httpx2.get(f"{server.url}/readyz").json()["store"] == f"sqlite:{tmp_path / 'kept'}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_ends_it_and_nothing_is_served(number: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "--http-port", "0", "--directory-path", str(tmp_path / "store")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "store" / "lock").exists() and process.poll() is None:
        pass  # the log is being opened, the engine is not yet there
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Listening" not in told
    assert "Traceback" not in told


def test_a_closed_stderr_does_not_keep_a_server_from_draining() -> None:
    process = subprocess.Popen(
        [COMMAND, "--http-port", "0", "--stateless"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    while not process.stderr.readline().startswith(b"Try: "):
        assert process.poll() is None
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_0(number: signal.Signals) -> None:
    with running("--stateless") as server:
        assert server.terminate(number) == 0
        assert "Traceback" not in server.log


def test_a_drain_lets_a_running_execution_end_and_answers_it(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server:
        code = "await new Promise(done => setTimeout(done, 500)); 'done'"
        with httpx2.Client(base_url=server.url, timeout=30) as client:
            place = client.post("/api/exec", json={"code": code}, headers={"prefer": "respond-async"})
            server.process.send_signal(signal.SIGTERM)
            answer = client.get(place.headers["location"], params={"wait": 10}).json()
        assert (answer["status"], answer["result"]) == ("completed", "'done'")
        assert server.wait() == 0


def test_a_drain_is_bounded_and_refuses_new_work_meanwhile(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path), "--drain-seconds", "1") as server:
        with httpx2.Client(base_url=server.url, timeout=30) as client:
            loop = client.post("/api/exec", json={"code": "for (;;);"}, headers={"prefer": "respond-async"})
            assert loop.status_code == 202
            server.process.send_signal(signal.SIGTERM)
            while client.get("/readyz").status_code == 200:
                pass
            refusal = client.post("/api/exec", json={"code": "1"})
            assert (refusal.status_code, refusal.json()["code"]) == (503, "unavailable")
            assert refusal.headers["retry-after"] == "1"
        assert server.wait() == 0


def test_a_second_signal_ends_the_drain_at_once() -> None:
    with running("--stateless", "--drain-seconds", "600") as server:
        httpx2.post(
            f"{server.url}/api/exec",
            json={"code": "for (;;);", "execution_timeout_secs": 300},
            headers={"prefer": "respond-async"},
        )
        server.process.send_signal(signal.SIGTERM)
        while httpx2.get(f"{server.url}/readyz").status_code == 200:
            pass
        assert server.terminate() == 0


def test_flags_go_before_variables_and_port_is_the_last_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MCP_V8_STATELESS": "1", "MCP_V8_HTTP_PORT": "1", "PORT": "2"}.items():
        monkeypatch.setenv(name, value)
    with running() as server:  # with --http-port 0
        assert "Store: none" in server.log
    assert "192.0.2.1:1:" in refused(command("--bind-host", "192.0.2.1"), 1)
    monkeypatch.delenv("MCP_V8_HTTP_PORT")
    assert "192.0.2.1:2:" in refused(command("--bind-host", "192.0.2.1"), 1)


def test_the_default_store_is_below_xdg_state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with running() as server:
        httpx2.post(f"{server.url}/api/exec", json={"code": "1"})
    assert (tmp_path / "mcp-v8" / "events.db").exists()


def test_allowed_hosts_open_the_door_to_their_names_only() -> None:
    with running("--stateless", "--allowed-hosts", "js.example, *") as server:
        assert httpx2.get(f"{server.url}/healthz", headers={"host": "any.example"}).status_code == 200
        page = {"host": "any.example", "origin": "https://any.example"}
        assert httpx2.get(f"{server.url}/healthz", headers=page).status_code == 403
        page = {"host": "any.example", "origin": "https://js.example"}
        assert httpx2.get(f"{server.url}/healthz", headers=page).status_code == 200


def test_the_address_that_it_is_bound_to_is_a_name_of_the_server() -> None:
    with running("--stateless", "--bind-host", "127.0.0.2") as server:
        assert httpx2.get(f"http://127.0.0.2:{server.port}/healthz").status_code == 200


def test_exec_async_answers_202_unless_the_client_wants_to_wait() -> None:
    with running("--stateless", "--exec-async") as server:
        url = f"{server.url}/api/exec"
        assert httpx2.post(url, json={"code": "1"}).status_code == 202
        waited = httpx2.post(url, json={"code": "1"}, headers={"prefer": "wait=20"}, timeout=30)
        assert (waited.status_code, waited.json()["result"]) == (200, "1")


def test_logs_can_be_json() -> None:
    with running("--stateless", "--log-format", "json", "--log-level", "debug") as server:
        pass
    entries = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert entries
    assert all({"time", "level", "logger", "event"} <= set(entry) for entry in entries)


def test_executions_without_sessions_can_have_a_context_each() -> None:
    with running("--stateless", "--stateless-isolation", "context") as server:
        for code, result in (("globalThis.left = 1", "1"), ("typeof left", "'undefined'")):
            answer = httpx2.post(f"{server.url}/api/exec", json={"code": code}, timeout=30).json()
            assert answer["result"] == result


def test_a_stateless_server_answers_without_session_and_forgets() -> None:
    with running("--stateless") as server:
        answer = httpx2.post(f"{server.url}/api/exec", json={"code": "1 + 2"}, timeout=30).json()
        assert (answer["session"], answer["event"], answer["heap"]) == (None, None, None)
        assert answer["result"] == "3"
        refusal = httpx2.post(f"{server.url}/api/exec", json={"code": "1", "session": "a"})
        assert (refusal.status_code, refusal.json()["field"]) == (400, "session")


def test_a_full_disk_is_told_until_there_is_room_again(tmp_path: Path) -> None:
    with (
        running("--directory-path", str(tmp_path)) as server,
        httpx2.Client(base_url=server.url, timeout=30) as client,
    ):
        assert client.post("/api/exec", json={"code": "1", "session": "a"}).status_code == 200
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        written = (tmp_path / "events.db-wal").stat().st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (written, limits[1]))
        refusal = client.post("/api/exec", json={"code": "2", "session": "a"})
        assert (refusal.status_code, refusal.json()["code"]) == (503, "store_failed")
        assert f"free space in {tmp_path}" in refusal.json()["error"]
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "store_failed")
        assert str(tmp_path) in ready.json()["error"]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        answer = client.post("/api/exec", json={"code": "3", "session": "a"}).json()
        assert (answer["result"], answer["event"]) == ("3", 2)
        ready = client.get("/readyz")
        assert (ready.status_code, "error" in ready.json()) == (200, False)


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    server = ServerProcess("--directory-path", str(tmp_path))
    httpx2.post(f"{server.url}/api/exec", json={"code": "let xs = [1, 2]", "session": "demo"}, timeout=30)
    assert server.terminate(signal.SIGKILL) == -signal.SIGKILL
    with running("--directory-path", str(tmp_path)) as server:
        fields = {"code": "xs.push(3); xs", "session": "demo"}
        answer = httpx2.post(f"{server.url}/api/exec", json=fields, timeout=30).json()
    assert (answer["result"], answer["event"]) == ("[ 1, 2, 3 ]", 2)


def test_no_file_takes_the_place_of_a_closed_stderr() -> None:
    code = """
import os
from cli.serve import open_standard_streams
os.close(0), os.close(2)
open_standard_streams()
print(os.readlink("/proc/self/fd/0"), os.readlink("/proc/self/fd/2"))
"""
    told = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    assert told.stdout == "/dev/null /dev/null\n"
