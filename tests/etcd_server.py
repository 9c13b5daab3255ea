"""etcd as tests have it: real members in processes of their own, that can be killed, stopped and cut off."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest

from tests.etcd_program import etcd_command

START_SECONDS = 30


def wanted() -> None:
    """Skip a test that needs it where there is none, and say how to get it; CI must have it."""
    if etcd_command() is None:
        reason = "there is no etcd of 3.5.16 or newer here: `python tests/etcd_program.py` gets Debian's"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


class Member:
    """A process of etcd, with its files."""

    def __init__(self, name: str, folder: Path, host: str, client_port: int, peer_port: int) -> None:
        self.name = name
        self.host = host
        self.url = f"http://{host}:{client_port}"
        self.peer_url = f"http://{host}:{peer_port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its process, which must run."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has said so far."""
        path = self._folder / f"{self.name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, cluster: str, flags: Sequence[str], before: Sequence[str] = ()) -> None:
        """Start it, with the files it has; the words ``before`` the command start it."""
        program = etcd_command()
        assert program is not None
        words = [
            *before,
            program,
            f"--name={self.name}",
            f"--data-dir={self._folder / self.name}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={cluster}",
            "--log-level=warn",
            *flags,
        ]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        """``kill -9``, also of one that is stopped. One that does not run is left so."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Let it hang (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None


class EtcdServer:
    """Members that know each other."""

    def __init__(
        self,
        folder: Path,
        *,
        members: int = 1,
        flags: Sequence[str] = (),
        hosts: Sequence[str] | None = None,
        before: Sequence[Sequence[str]] | None = None,
    ) -> None:
        """Starts them on an empty folder. To be closed in the end.

        ``flags`` for each; ``hosts``: where each listens (loopback); ``before``: the words that start each.
        """
        hosts = hosts or ["127.0.0.1"] * members
        ports = _free_ports(2 * members)
        self.members = [
            Member(f"m{n}", folder, host, ports[2 * n], ports[2 * n + 1]) for n, host in enumerate(hosts)
        ]
        self._cluster = ",".join(f"{one.name}={one.peer_url}" for one in self.members)
        self._flags = flags
        self._before = before or [()] * members
        try:
            for member in self.members:
                self._start(member)
            self.wait_until_known()
        except BaseException:
            self.close()
            raise

    @property
    def urls(self) -> tuple[str, ...]:
        """Of all members, for clients."""
        return tuple(one.url for one in self.members)

    def restart(self, member: Member) -> None:
        """Start one that was killed, with the files it had."""
        self._start(member)

    def leader(self) -> Member:
        """The member that leads; of those that run there must be a majority. Raises AssertionError."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            for member in self.members:
                answer = _ask(member, "/v3/maintenance/status") if member.runs else {}
                header = answer.get("header", {})
                if answer and answer.get("leader") == header.get("member_id"):
                    return member
            time.sleep(0.05)
        raise AssertionError("no member leads")

    def wait_until_known(self) -> None:
        """Until all members know who leads. Raises AssertionError."""
        end = time.monotonic() + START_SECONDS
        for member in self.members:
            while "leader" not in _ask(member, "/v3/maintenance/status"):
                if not member.runs or time.monotonic() > end:
                    raise AssertionError(f"etcd did not start:\n{member.log[-4000:]}")
                time.sleep(0.01)

    def close(self) -> None:
        """Leave nothing behind."""
        for member in self.members:
            member.kill()

    def _start(self, member: Member) -> None:
        before = self._before[self.members.index(member)]
        member.start(self._cluster, self._flags, before)


def _ask(member: Member, path: str) -> dict[str, object]:
    """What a member answers; nothing if it does not, which it has little time for."""
    try:
        answer = httpx2.post(member.url + path, content=b"{}", timeout=0.5, trust_env=False)
    except httpx2.TransportError:
        return {}
    found = answer.json() if answer.status_code == 200 else {}
    assert isinstance(found, dict)
    return found


def _free_ports(count: int) -> list[int]:
    """Of the loopback interface; free a moment ago."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports
