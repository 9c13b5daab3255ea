"""``mcp-v8`` as a fork whose stdin, stdout and stderr are pipes of ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from command_forks import start

SECONDS = 60


class Piped:
    """Of ``subprocess.Popen``'s interface what tests use of it. ``is_alone``: stdin is /dev/null."""

    def __init__(
        self, *arguments: str | Path, environment: Mapping[str, str] = os.environ, is_alone: bool = False
    ) -> None:
        # of stdin, stdout and stderr its ends and ours: a pipe is (where is read, where is written)
        nothing = [os.open(os.devnull, how) for how in (os.O_RDONLY, os.O_WRONLY)] if is_alone else os.pipe()
        theirs, ours = zip(nothing, os.pipe()[::-1], os.pipe()[::-1], strict=True)
        self._process = start([*map(str, arguments)], theirs, environment)
        for number in theirs:
            os.close(number)
        self.args = self._process.args
        self.stdin, self.stdout, self.stderr = (
            os.fdopen(number, mode + "b") for number, mode in zip(ours, "wrr", strict=True)
        )
        self.poll, self.wait = self._process.poll, self._process.wait
        self.send_signal, self.kill = self._process.send_signal, self._process.kill

    @property
    def returncode(self) -> int | None:
        """Its exit status, if it is known to have ended."""
        return self._process.returncode

    def communicate(self, given: bytes = b"", timeout: float = SECONDS) -> tuple[bytes, bytes]:
        """What comes of stdout and stderr until it ends, of which ``given`` and nothing more comes.

        Raises ``subprocess.TimeoutExpired``; it is killed then.
        """
        with self.stdin, self.stdout, self.stderr, ThreadPoolExecutor(3) as threads:
            threads.submit(self._write, given)
            out, err = (threads.submit(_rest, file) for file in (self.stdout, self.stderr))
            try:
                self.wait(timeout)
            finally:
                self.kill()
        return out.result(), err.result()

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError), self.stdin:  # it need not read all of it
            self.stdin.write(data)

    def __enter__(self) -> Piped:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait(SECONDS)
        for file in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):  # of what was not read
                file.close()


def _rest(file: IO[bytes]) -> bytes:
    return b"" if file.closed else file.read()
