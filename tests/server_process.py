"""The real server as a process, for tests of what its users see."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from command_forks import COMMAND, Forked, start

START_SECONDS = 60
STOP_SECONDS = 20

_LISTENING = re.compile(r"(?:Listening on |\"urls\": \[\")http://(\S+?):(\d+)")


class ServerProcess:
    """A running server. ``log`` is its stderr so far.

    The words ``before`` the command are one that starts it; ``environment`` is added to this process's.
    Another ``command`` must take the server's flags and announce itself as it does; with ``--sse-port`` as
    ``port_flag`` it serves clients of 2024 as well.
    """

    def __init__(
        self,
        *flags: str,
        before: Sequence[str] = (),
        command: Sequence[str] = (COMMAND,),
        port_flag: str = "--http-port",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        reading, writing = os.pipe()
        self.process = _started([*before, *command, port_flag, "0", *flags], environment or {}, writing)
        os.close(writing)
        self._stderr = os.fdopen(reading, encoding="utf-8")
        self.port = 0
        self.log = ""
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._started.wait(START_SECONDS) or self.port == 0:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            raise AssertionError(f"the server did not start:\n{self.log}")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit status. Fails if it takes too long."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit status."""
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not end:\n{self.log[-4000:]}") from None
        finally:
            self._reader.join()
        return status

    def _read(self) -> None:
        with self._stderr:
            for line in self._stderr:
                self.log += line
                if match := _LISTENING.search(line):
                    self.port = int(match[2])
                if line.startswith("Try: ") or '"event": "listening"' in line:  # the end of the announcement
                    self._started.set()
        self._started.set()


def _started(
    words: list[str], environment: Mapping[str, str], stderr: int
) -> Forked | subprocess.Popen[bytes]:
    """The process."""
    added = {**os.environ, **environment}
    with Path(os.devnull).open("r+") as nothing:
        if words[0] == COMMAND:
            return start(words[1:], (nothing.fileno(), nothing.fileno(), stderr), added)
        return subprocess.Popen(words, env=added, stdin=nothing, stdout=nothing, stderr=stderr)


@contextmanager
def running(*flags: str, **how: Any) -> Iterator[ServerProcess]:
    """A server until the end of the block, which fails if it does not end well."""
    server = ServerProcess(*flags, **how)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            assert server.terminate() == 0, server.log[-4000:]
