"""``mcp-v8`` as a process that need not import anything: a copy of one that has.

A thousand times the tests start the command, and two thirds of what a start takes is Python's import of the same
modules. Here one process imports them, and each start is a fork of it: a process as any other, with files,
environment, working folder and signals of its own, which runs ``cli.entry.main`` as the command does. What a
test says of the start itself (imports, the environment of the interpreter, the words of the process) needs
``subprocess``.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import zygote_forks

COMMAND = str(Path(sys.executable).with_name("mcp-v8"))
IMPORTED = (
    "cli.main",
    "cli.output.code",
    "cli.report.collect",
    "cli.report.page",
    "cli.serve",
    "cli.target.following",
    "cli.target.server",
    "cli.target.store",
    "cluster.opening",
    "persistence.s3.cache",
    "persistence.s3.client",
    "pygments.lexers.javascript",
    "transports.app",
    "transports.mcp.doors",
    "trio_websocket",
    "wcwidth",
)
"""What a command or a server may import while it runs, beside the modules of all commands."""
_STARTED_IN = ("PYTHON", "LD_", "LANG", "LC_")
"""How the names of variables begin that matter when the interpreter starts."""
_REQUEST_BYTES = 1 << 20
_ONE_ORIGIN = threading.Lock()


class Forked:
    """A process that runs the command; of ``subprocess.Popen``'s interface what tests use of it."""

    def __init__(
        self, arguments: Sequence[str], files: tuple[int, int, int], environment: Mapping[str, str]
    ) -> None:
        """Start it with ``files`` as stdin, stdout and stderr."""
        self.args = list(arguments)
        self.returncode: int | None = None
        self._keeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with _ONE_ORIGIN:  # whoever of several threads is first starts it
            address = _origin()[0]
        self._keeper.connect(address)
        zygotes = zygote_forks.Starts.origin
        request = json.dumps([self.args, dict(environment), str(Path.cwd()), zygotes])
        socket.send_fds(self._keeper, [request.encode()], files)
        self.pid = int(self._keeper.recv(32))

    def poll(self) -> int | None:
        """Its exit status, if it has ended; minus the signal that ended it."""
        if self.returncode is None and select.select([self._keeper], [], [], 0)[0]:
            self.returncode = int(self._keeper.recv(32))
            self._keeper.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises ``subprocess.TimeoutExpired``."""
        if self.returncode is None and not select.select([self._keeper], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def start(
    arguments: Sequence[str], files: tuple[int, int, int], environment: Mapping[str, str]
) -> Forked | subprocess.Popen[bytes]:
    """Start ``mcp-v8``: as a fork, unless the environment is one that the interpreter must start in."""
    given = {name: value for name, value in environment.items() if name.startswith(_STARTED_IN)}
    if given.items() <= os.environ.items():
        return Forked(arguments, files, environment)
    stdin, stdout, stderr = files
    return subprocess.Popen([COMMAND, *arguments], stdin=stdin, stdout=stdout, stderr=stderr, env=environment)


@cache
def _origin() -> tuple[str, subprocess.Popen[bytes], socket.socket]:
    """The process that is forked, which starts with the first command: its address, itself, and what it ends with."""
    address = f"\0mcp-v8-forks-{os.getpid()}"
    ours, theirs = socket.socketpair()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, theirs:
        listener.bind(address)
        listener.listen(16)
        numbers = (listener.fileno(), theirs.fileno())
        words = [sys.executable, __file__, *map(str, numbers)]
        process = subprocess.Popen(words, pass_fds=numbers, stdin=subprocess.DEVNULL)
    return address, process, ours


def _serve(listener: socket.socket, tests: socket.socket) -> None:
    """Fork for each connection, until the tests are gone."""
    import cli.commands

    for name in (
        *IMPORTED,
        *(f"cli.commands.{module.name}" for module in pkgutil.iter_modules(cli.commands.__path__)),
    ):
        importlib.import_module(name)
    zygote_forks.install()
    gc.collect()
    gc.freeze()  # a copy need not look at, and so copy, what is there already
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a keeper ended
    while True:
        ready, _, _ = select.select([listener, tests], [], [])
        if tests in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            tests.close()
            _keep(connection)
        connection.close()


def _keep(connection: socket.socket) -> None:
    """Start the command that is asked for, say its number and, when it has ended, its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, files, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        _run(files, *json.loads(request))
    for number in (*files, 0, 1, 2):
        os.close(number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's
    connection.send(str(child).encode())
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):  # if whoever started it is gone
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _run(
    files: Sequence[int], arguments: list[str], environment: dict[str, str], folder: str, zygotes: str | None
) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    time.tzset()
    zygote_forks.Starts.origin = zygotes
    sys.argv = [COMMAND, *arguments]
    from cli.entry import main

    try:
        main()
        status = 0
    except SystemExit as ended:
        status = _status(ended)
    # As the interpreter ends, but for taking all modules apart: a copy would first copy all of them, for 40 ms.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # the interpreter tells of what cannot be written
    os._exit(status)


def _status(ended: SystemExit) -> int:
    """What the interpreter makes of it, which prints what is no number."""
    if ended.code is None or isinstance(ended.code, int):
        return (ended.code or 0) & 0xFF
    print(ended.code, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    _serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))
