"""``mcp-v8 healthcheck``: which servers it finds, whom it believes, and how long that takes at most."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from server_process import COMMAND, running

from cli import listeners, readiness
from cli.commands.healthcheck import MOST_PORTS
from cli.listeners import Address

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
READY = b'{"status":"ready","engine":"e","sandbox":{},"zygote_pid":1}'


def line(local: str, state: str = "0A", uid: int = 1000) -> str:
    return f"   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {uid}        0 632 1 0 100 0\n"


def parsed(*lines: str, uid: int = 1000) -> list[str]:
    return [str(address) for address in listeners.parse(HEADING + "".join(lines), uid)]


def test_a_listener_is_asked_at_the_address_that_it_is_bound_to() -> None:
    assert parsed(line("0100007F:1F90")) == ["http://127.0.0.1:8080"]
    assert parsed(line("020011AC:1F91")) == ["http://172.17.0.2:8081"]
    assert parsed(line("B80D0120000000000000000001000000:0050")) == ["http://[2001:db8::1]:80"]


def test_one_bound_to_any_address_is_asked_on_loopback() -> None:
    assert parsed(line("00000000:1F90")) == ["http://127.0.0.1:8080"]
    assert parsed(line("0" * 32 + ":1F90")) == ["http://[::1]:8080"]


def test_other_users_and_connections_are_passed_over_but_by_root() -> None:
    lines = (line("0100007F:0001"), line("0100007F:0002", uid=7), line("0100007F:0003", state="01"))
    assert parsed(*lines) == ["http://127.0.0.1:1"]
    assert parsed(*lines, uid=0) == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    assert parsed(*lines, uid=8) == []


def test_a_kernel_without_ipv6_has_one_list_and_an_address_is_asked_once(tmp_path: Path) -> None:
    twice = line("00000000:1F90") + line("0100007F:1F90") + line("0100007F:0050")
    (tmp_path / "tcp").write_text(HEADING + twice)
    assert listeners.listeners(1000, tmp_path) == [Address("127.0.0.1", 80), Address("127.0.0.1", 8080)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_listeners_of_this_process_are_found(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as here:
        try:
            here.bind((host, 0))
        except OSError as error:
            pytest.skip(f"{host}: {error}")
        found = Address(host, here.getsockname()[1])
        assert found not in listeners.listeners(os.geteuid())
        here.listen()
        assert found in listeners.listeners(os.geteuid())


@contextmanager
def answering(answer: bytes | None, host: str = "127.0.0.1") -> Iterator[Address]:
    """A server that gives every client that answer; None: it accepts nobody."""
    with socket.create_server((host, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # shut down
                    return
                with client:
                    client.recv(65_536)
                    client.sendall(answer or b"")

        thread = threading.Thread(target=serve)
        if answer is not None:
            thread.start()
        try:
            yield Address(*listener.getsockname())
        finally:
            if answer is not None:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d Word\r\ncontent-type: application/json\r\n\r\n%s" % (status, body)


HERE = Address("127.0.0.1", 8080)


def complaint_about(*answers: bytes) -> str | None:
    return readiness.complaint(readiness.judge(HERE, answer) for answer in answers)


def test_one_that_is_ready_is_enough_whatever_strangers_say() -> None:
    strangers = (
        b"",
        b"220 ready\r\n",
        b"HTTP/1.1\r\n\r\n" + READY,
        http(404, b"<html>"),
        http(200, b'{"status":"ready"}'),
        http(503, b"[" * 60_000),
        http(200, b'"ready"'),
    )
    assert complaint_about(*strangers, http(200, READY)) is None
    for stranger in strangers:
        assert complaint_about(stranger) is not None


def test_of_several_servers_all_must_be_ready() -> None:
    draining = http(503, READY.replace(b"ready", b"draining"))
    assert complaint_about(http(200, READY), draining) == f"{HERE} is not ready (draining)"


def test_the_reason_is_the_servers_own() -> None:
    failed = READY.replace(b'"ready"', b'"store_failed","error":"no free space in /data"')
    assert complaint_about(http(503, failed)) == f"{HERE} is not ready (store_failed: no free space in /data)"
    busy = http(503, b'{"error":"too many connections","code":"busy","field":null}')
    assert complaint_about(busy) == f"{HERE} is not ready (too many connections)"


def test_what_a_stranger_says_is_one_short_line_that_steers_no_terminal() -> None:
    told = complaint_about(http(500, b'{"error":"\\u001b[2J\\n%s"}' % (b"x" * 5_000)))
    assert told is not None
    assert told.isprintable()
    assert len(told) < 400


def test_servers_are_asked_at_once_and_one_that_never_answers_takes_no_longer_than_the_timeout() -> None:
    began = time.monotonic()
    with answering(None) as silent, answering(None) as another, answering(http(200, READY)) as ready:
        said = readiness.ask([silent, another, ready], 0.3)
    assert time.monotonic() - began < 5
    assert [one.known for one in said] == [False, False, True]
    assert said[0].why == "no answer within 0.3 s"
    assert readiness.complaint(said) is None


def test_an_endless_answer_is_cut_off() -> None:
    with answering(http(200, b"x" * (1 << 17))) as endless:
        (said,) = readiness.ask([endless], 20)
    assert (said.known, said.ready) == (False, False)


def healthcheck(*words: str, before: tuple[str, ...] = ()) -> tuple[int, str, str]:
    ended = subprocess.run(
        [*before, COMMAND, "healthcheck", *words], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_a_server_is_asked_under_its_url() -> None:
    with running("--stateless") as server:
        assert healthcheck("--url", server.url) == (0, f"{server.url} is ready\n", "")
        named = f"http://user:secret@localhost:{server.port}/"
        assert healthcheck("--url", named) == (0, f"{server.url} is ready\n", "")
        status, _, told = healthcheck("--url", f"{server.url}/below")
        assert (status, "is not ready" in told) == (1, True)
    assert healthcheck("--url", server.url)[0] == 1


def test_tokens_and_names_of_hosts_are_no_obstacle(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("a-token-of-at-least-16-characters alice\n")
    tokens.chmod(0o600)
    with running("--stateless", "--tokens", str(tokens), "--bind-host", "127.0.0.2") as server:
        said = readiness.ask([Address("127.0.0.2", server.port)], 20)
    assert readiness.complaint(said) is None


def test_a_store_that_fails_is_told(tmp_path: Path) -> None:
    with (
        running("--directory-path", str(tmp_path)) as server,
        httpx2.Client(base_url=server.url, timeout=30) as client,
    ):
        assert client.post("/api/exec", json={"code": "1", "session": "a"}).status_code == 200
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        written = (tmp_path / "events.db-wal").stat().st_size
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (written, limits[1]))
        assert client.post("/api/exec", json={"code": "2", "session": "a"}).status_code == 503
        status, _, told = healthcheck("--url", server.url)
        assert (status, f"{server.url} is not ready (store_failed: " in told) == (1, True)
        assert str(tmp_path) in told
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)


def test_a_drain_is_told() -> None:
    with running("--stateless") as server, httpx2.Client(base_url=server.url, timeout=30) as client:
        loop = client.post("/api/exec", json={"code": "for (;;);"}, headers={"prefer": "respond-async"})
        assert loop.status_code == 202
        server.process.terminate()
        while client.get("/readyz").json()["status"] != "draining":
            pass
        told = f"mcp-v8: {server.url} is not ready (draining)\n"
        assert healthcheck("--url", server.url) == (1, "", told)


@pytest.mark.parametrize(
    "url", ["https://localhost:1", "localhost:1", "http://", "http://a:x", "http://a/\n"]
)
def test_a_url_that_cannot_be_asked_is_wrong_usage(url: str) -> None:
    status, _, told = healthcheck("--url", url)
    assert (status, "--url: must be http://HOST:PORT" in told) == (2, True)


@pytest.fixture
def alone() -> list[str]:
    """The words before a command that give it a network of its own, in which nobody else listens."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    words = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"a network namespace cannot be made here: {tried.stderr.strip()}")
    return words


def test_the_server_in_its_network_is_found_by_itself(alone: list[str]) -> None:
    with running("--stateless", "--bind-host", "0.0.0.0", before=alone) as server:
        beside = ("nsenter", f"--net=/proc/{server.process.pid}/ns/net")
        assert healthcheck(before=beside) == (0, f"{server.url} is ready\n", "")
        another_user = (*beside, "setpriv", "--reuid=64001", "--clear-groups", "--inh-caps=+dac_read_search")
        status, _, told = healthcheck(before=(*another_user, "--ambient-caps=+dac_read_search"))
        assert (status, told) == (
            1,
            "mcp-v8: no server of user 64001 listens here (on stdio there is no port to ask)\n",
        )


def test_without_a_server_it_says_so(alone: list[str]) -> None:
    told = "mcp-v8: no server of user 0 listens here (on stdio there is no port to ask)\n"
    assert healthcheck(before=tuple(alone)) == (1, "", told)


def test_more_ports_than_can_be_asked_are_not_asked(alone: list[str]) -> None:
    many = (
        f"import os, socket, sys; s = [socket.create_server(('127.0.0.1', 0)) for _ in range({MOST_PORTS + 1})]; "
        "[one.set_inheritable(True) for one in s]; os.execvp(sys.argv[1], sys.argv[1:])"
    )
    status, _, told = healthcheck(before=(*alone, "python3", "-c", many))
    assert (status, "say with --url" in told) == (1, True)
