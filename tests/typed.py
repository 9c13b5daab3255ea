"""The command as it is typed: in a terminal of some width, or into pipes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from msgspec import Struct
from server_process import COMMAND

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
    ended = subprocess.run(
        [COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment(**variables),
        check=False,
    )
    told = Ended(ended.returncode, ended.stdout, ended.stderr)
    assert told.status == status, told
    assert "Traceback" not in told.err
    return told


def in_terminal(*arguments: str | Path, columns: int = 80, status: int = 0, **variables: str) -> Ended:
    """Run it with stdout and stderr in a terminal of that width; both are ``out``."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(**variables),
    )
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
