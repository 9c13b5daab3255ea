"""The command as it is typed: in a terminal of some width, or into pipes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

from command_forks import start
from command_pipes import Piped
from msgspec import Struct

SECONDS = 60
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What the command itself may send to a terminal beside text."""


class Ended(Struct, frozen=True):
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of stdout, without colours."""
        return COLOUR.sub("", self.out).splitlines()


def environment(**variables: str) -> dict[str, str]:
    """Where no variable says anything of targets or colours but ``variables``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MCP_V8_") and name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    return {**kept, "TERM": "xterm-256color", "TZ": "UTC", **variables}


def piped(*arguments: str | Path, status: int = 0, stdin: str = "", **variables: str) -> Ended:
    """Run it with pipes."""
    ended = completed(*arguments, given=stdin.encode(), environment=environment(**variables))
    told = Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert told.status == status, told
    assert "Traceback" not in told.err
    return told


def run(
    *arguments: str | Path, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` does, with stdin from /dev/null."""
    ended = _completed(Piped(*arguments, environment=environment, is_alone=True))
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode()
    )


def completed(
    *arguments: str | Path, given: bytes = b"", environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[bytes]:
    """As ``subprocess.run`` does, with ``given`` from a pipe."""
    return _completed(Piped(*arguments, environment=environment), given)


def _completed(process: Piped, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    with process:
        out, err = process.communicate(given)
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def in_terminal(*arguments: str | Path, columns: int = 80, status: int = 0, **variables: str) -> Ended:
    """Run it with stdout and stderr in a terminal of that width; both are ``out``."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = start([*map(str, arguments)], (slave, slave, slave), environment(**variables))
    os.close(slave)
    data = b""
    try:
        while chunk := _read(master):
            data += chunk
    finally:
        os.close(master)
    assert process.wait(SECONDS) == status, data.decode()
    return Ended(status, data.decode().replace("\r\n", "\n"), "")


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # as Linux says that nobody has the terminal open any more
        return b""
