"""Talking with the command in a terminal: what it shows is waited for, and keys are pressed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typed
from server_process import COMMAND

SECONDS = 20
"""What anything may take to be shown."""
_IN_TERMINAL = 'exec "$@" <>"$0" >&0 2>&1'
"""The first terminal that a session leader opens becomes its own: Ctrl-C is a signal to it then."""
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|[\x01\x02]")
"""What readline and colours send beside text."""

CTRL_C, CTRL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"


class Talk:
    """A command whose terminal is ours."""

    def __init__(self, *arguments: str | Path, environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            ["sh", "-c", _IN_TERMINAL, os.ttyname(slave), COMMAND, *map(str, arguments)],
            start_new_session=True,
            env=typed.environment(TERM="xterm", INPUTRC="/dev/null", **environment),
        )
        self._slave: int | None = slave
        self._raw = b""
        self._read = 0
        self.is_over = False

    @property
    def shown(self) -> str:
        """All that it has shown, as text."""
        return _CONTROLS.sub("", self._raw.decode(errors="replace")).replace("\r\n", "\n")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def enter(self, line: str) -> None:
        """Type a line."""
        self.type(f"{line}\r")

    def see(self, wanted: str) -> str:
        """Wait until the text is shown behind what was seen last; what is shown up to it. Fails in time."""
        deadline = time.monotonic() + SECONDS
        while True:
            shown = self.shown
            at = shown.find(wanted, self._read)
            if at >= 0:
                before, self._read = shown[self._read : at], at + len(wanted)
                return before
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} was not shown in {shown[self._read :]!r} after {shown[-3000:]!r}"
            assert not self.is_over, f"{wanted!r} was not shown in {shown[self._read :]!r}, which is all"
            self._more(left)

    def end(self, number: signal.Signals | None = None) -> int:
        """Its exit status, once it has ended; with a signal it is asked to."""
        if number is not None:
            self.process.send_signal(number)
        deadline = time.monotonic() + typed.SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            self._more(0.05)
        status = self.process.wait(0)
        while self._more(0):
            pass
        return status

    def close(self) -> None:
        """Whatever it does, it is over."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(typed.SECONDS)
        if self._slave is not None:
            os.close(self._slave)
            self._slave = None
        os.close(self._master)

    def _more(self, seconds: float) -> bool:
        """Read what there is; whether there was any within that time."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            self.is_over = self.process.poll() is not None
            return False
        with contextlib.suppress(OSError):
            self._raw += os.read(self._master, 1 << 16)
        return True


@contextmanager
def talking(*arguments: str | Path, **environment: str) -> Iterator[Talk]:
    """The command in a terminal, until the end of the block."""
    talk = Talk(*arguments, environment=environment)
    try:
        yield talk
    finally:
        talk.close()
