"""The zygote of an engine as a copy of one that has booted.

Of what most tests that open an engine or start a server take, half is the start of a zygote: Python, its
imports, V8 and its image. Here one process does that, and each start is a fork of it that goes on with
``engine.isolate.zygote.run`` where V8 has booted: a zygote as any other, with a sandbox, sockets and a session
of its own. It is the child of a *keeper*, not of the server, and is refused where a start would come to
something else: another image or record of the self-test in the cache folder, other limits on the process. What
the kernel lets a sandbox use is found out once for all, and that a worker can enter it is not tried again: the
zygote that filled the cache folder did. What tests say of the start itself needs ``@pytest.mark.own_zygote``.

Imports here are those of a zygote: the self-test's record counts what is loaded.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import msgspec
from msgspec.structs import replace

from engine.isolate import zygote_wire as wire

if TYPE_CHECKING:
    import subprocess

    from engine.isolate.executor import Executor
    from engine.isolate.image import BaseImage
    from engine.isolate.sandbox.layers import Layers

_PACKET_BYTES = 1 << 16
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK, resource.RLIMIT_NPROC)


class Forked:
    """A zygote; of ``subprocess.Popen``'s interface what a server uses of it."""

    def __init__(self, keeper: socket.socket, pid: int) -> None:
        self.pid = pid
        self._keeper = keeper

    def wait(self) -> None:
        """Bury it: until then its number is nobody else's."""
        with self._keeper:
            self._keeper.send(b"wait")
            self._keeper.recv(1)


class Starts:
    """How zygotes start here."""

    origin: str | None = None
    """The address of the process that is forked; None: each is started."""


def install() -> None:
    """Let this process's zygotes be forks, where ``Starts`` says so."""
    from engine import zygote

    started, words = zygote.start_process, zygote.ZYGOTE

    def start(what: wire.Start) -> subprocess.Popen[bytes]:
        if Starts.origin is not None and words == zygote.ZYGOTE and what.cache and not what.test_again:
            forked = _fork(Starts.origin, what)
            if forked is not None:
                return cast("subprocess.Popen[bytes]", forked)
        return started(what)

    zygote.start_process = start


def origin() -> str:
    """The address of a process to fork, which is started, and ends with this one."""
    return _origin()[0]


def end() -> None:
    """Let it end, if it was started."""
    if _origin.cache_info().currsize:
        _, process, ours = _origin()
        ours.close()
        process.wait()


@cache
def _origin() -> tuple[str, subprocess.Popen[bytes], socket.socket]:
    import subprocess

    from engine.zygote import ENVIRONMENT

    address = f"\0mcp-v8-zygotes-{os.getpid()}"
    ours, theirs = socket.socketpair()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, theirs:
        listener.bind(address)
        listener.listen(16)
        numbers = (listener.fileno(), theirs.fileno())
        words = [sys.executable, "-I", "-X", "utf8", __file__, *map(str, numbers)]
        process = subprocess.Popen(
            words,
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=numbers,
            start_new_session=True,
        )
    return address, process, ours


def _fork(address: str, start: wire.Start) -> Forked | None:
    """None where it is refused."""
    keeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper.connect(address)
    request = msgspec.msgpack.encode((start, _situation(), sorted(os.sched_getaffinity(0))))
    socket.send_fds(keeper, [request], [start.socket, 2])
    pid = int(keeper.recv(32))
    if pid == 0:
        keeper.close()
        return None
    return Forked(keeper, pid)


def _situation() -> list[object]:
    """What a process has of the one that starts it, as far as tests change it."""
    group = Path("/proc/self/cgroup").read_text()
    return [
        os.getuid(),
        os.getpriority(os.PRIO_PROCESS, 0),
        group,
        [[*resource.getrlimit(of)] for of in _LIMITS],
    ]


class Booted:
    """V8, booted as for a cache folder, and what that held."""

    def __init__(self, folder: Path) -> None:
        from engine.isolate import image, passed, zygote

        found, tested = passed.conditions, []

        def conditions(base: BaseImage) -> bytes:
            tested.append(found(base))
            return tested[-1]

        passed.conditions = conditions
        self.executor: Executor
        self.image: BaseImage
        self.executor, self.image = zygote.boot(folder)
        record = f"self-test-{tested[0].hex()[:32]}.passed"
        names = (image.file_name(self.image.engine_id, self.image.program), record)
        self._files = {name: (folder / name).read_bytes() for name in names}
        self.layers = cache(zygote.find_layers)
        """What the sandbox can use here, by its mode. Raises PlatformRefused."""

    def is_of(self, folder: Path) -> bool:
        """Whether a start with that folder would find the same there."""
        try:
            return all((folder / name).read_bytes() == data for name, data in self._files.items())
        except OSError:  # there is none, or none that can be read
            return False


def _serve(listener: socket.socket, tests: socket.socket) -> None:
    """Fork for each connection, until the tests are gone. The first that has an image is waited for."""
    from engine.isolate import process, stack

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a keeper ended
    here = msgspec.msgpack.decode(msgspec.msgpack.encode(_situation()))
    process.allow_stack(stack.PROCESS_BYTES)
    booted: Booted | None = None
    while True:
        ready, _, _ = select.select([listener, tests], [], [])
        if tests in ready:
            return
        connection, _ = listener.accept()
        packet, files, _, _ = socket.recv_fds(connection, _PACKET_BYTES, 2)
        start, situation, processors = msgspec.msgpack.decode(
            packet, type=tuple[wire.Start, list[Any], list[int]]
        )
        folder = Path(start.cache or "")
        if booted is None and situation == here and _is_filled(folder):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the boot has children of its own
            booted = Booted(folder)
            gc.collect()
            gc.freeze()
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        found = _layers(booted, start) if booted is not None and situation == here else None
        if booted is None or found is None or not booted.is_of(folder):
            connection.send(b"0")
        elif os.fork() == 0:
            listener.close()
            tests.close()
            _keep(connection, partial(_run, booted, found, start, processors, *files))
        connection.close()
        for file in files:
            os.close(file)


def _layers(booted: Booted, start: wire.Start) -> Layers | None:
    """None if a start would be refused."""
    from engine.errors import PlatformRefused

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever finds out is a child
    try:
        return booted.layers(start.sandbox)
    except PlatformRefused:
        return None
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def _is_filled(folder: Path) -> bool:
    """Whether a start with that folder needs no test and makes no image."""
    try:
        return any(folder.glob("self-test-*.passed"))
    except OSError:
        return False


def _keep(connection: socket.socket, run: Callable[[], NoReturn]) -> NoReturn:
    """Start a zygote, say its number, and bury it when the server does, or is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    child = os.fork()
    if child == 0:
        connection.close()
        run()
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, 64)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 2)
    connection.send(str(child).encode())
    connection.recv(8)
    os.waitpid(child, 0)
    os._exit(0)


def _run(
    booted: Booted, found: Layers, start: wire.Start, processors: list[int], control: int, errors: int
) -> NoReturn:
    from engine.isolate import zygote

    os.setsid()
    os.dup2(errors, 2)
    os.close(errors)
    os.sched_setaffinity(0, processors)
    zygote.boot = lambda cache, *, test_again=False: (booted.executor, booted.image)
    zygote.find_layers = lambda mode: found
    zygote.Zygote.rehearse = lambda self: None  # type: ignore[method-assign]
    status = zygote.main([wire.encode_start(replace(start, socket=control, server=os.getppid()))])
    os._exit(status)


if __name__ == "__main__":
    _serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))
