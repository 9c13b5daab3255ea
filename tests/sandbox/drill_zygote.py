"""A zygote on whose workers native code is let loose in place of JavaScript.

    python drill_zygote.py VARIANT START

It is the real one: its workers are forked, confined and watched as always. But once confined they do what the
*code* of a run says, with Python's ctypes for an attacker's machine code, and answer with JSON as the result.
VARIANT takes away what a kernel may not have. Not a test: test_escape.py starts it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
import probes
from kernels import EBUSY, ENOSYS, LANDLOCK, refuse

from engine.events import Outcome, Trace
from engine.isolate import process, wire, worker, zygote
from engine.isolate.sandbox import landlock, seccomp
from engine.isolate.sandbox.syscalls import this_architecture

AN_ORDINARY_USER = 54_321
ZYGOTE = os.getpid()


def report(run: wire.Run, found: object) -> bytes:
    """A message that says that the run completed with this value."""
    return wire.encode(
        wire.Done(
            outcome=Outcome(status="completed", result=msgspec.json.encode(found).decode()),
            trace=Trace(start=run.start, seed=run.seed),
            digest=bytes(32),
            duration_us=0,
            cpu_us=0,
        )
    )


def results(attempts: dict[str, Callable[[], object]]) -> dict[str, int | str]:
    """What came of each."""
    return {name: probes.outcome(probe) for name, probe in attempts.items()}


def fork_until_refused() -> int:
    """How many processes there could be beside this one; they stay until they are killed."""
    for count in range(10_000):
        try:
            pid = os.fork()
        except OSError:
            return count
        if pid == 0:
            wait_for_ever()
    return 10_000


def wait_for_ever() -> NoReturn:
    while True:
        ctypes.CDLL(None).poll(None, 0, -1)


def fork_once() -> str:
    if os.fork() == 0:
        wait_for_ever()
    return "forked"


def obey(run: wire.Run, sock: socket.socket) -> object:
    """What an order comes to."""
    order, *arguments = run.code.split()
    match order:
        case "denied":
            return results(probes.denied(sock, *map(int, arguments)))
        case "harmless":
            attempts = probes.denied(sock, *map(int, arguments))
            return results({name: attempts[name] for name in probes.HARMLESS})
        case "unlisted":
            return results(probes.unlisted())
        case "memory":
            return results(probes.refused_memory())
        case "allowed":
            return results({**probes.allowed(sock), "name memory": probes.name_memory})
        case "environment":
            return dict(os.environ)
        case "fork":
            try:
                return fork_once()
            except OSError as refused:
                return refused.errno
        case "bomb":
            return fork_until_refused()
        case "foreign":
            probes.foreign_call()
    return None


def fork_copy(sock: socket.socket, manner: str) -> wire.Forked:
    """As for a checkpoint, but not as it should be."""
    pid = os.fork()
    if pid == 0:
        sock.close()
        if manner == "forking":
            probes.outcome(fork_once)
        os.write(worker.STDERR, manner.encode())
        if manner == "holding":
            os._exit(0)
        wait_for_ever()
    if manner != "holding":
        os.close(worker.STDERR)
    if manner == "denying":
        return wire.Forked(failure="the kernel gave no process for it")
    return wire.Forked(pid={"lying": os.getpid(), "accusing": ZYGOTE}.get(manner, pid))


def serve(_executor: object, _snapshots: object, sock: socket.socket) -> NoReturn:
    """In place of ``worker.serve``."""
    frames: wire.FrameBuffer[wire.ToWorker] = wire.FrameBuffer(wire.ToWorker)
    sock.sendall(wire.encode(wire.Ready()))
    manner = "endless"
    while True:
        match frames.next():
            case wire.Run(code=("forking" | "holding" | "lying" | "accusing" | "denying") as manner) as run:
                sock.sendall(report(run, None))
            case wire.Run(code="go on") as run:
                sock.sendall(report(run, None))
                while True:
                    pass
            case wire.Run() as run:
                try:
                    found = obey(run, sock)
                except Exception as failed:  # noqa: BLE001 - told to the test
                    found = f"{type(failed).__name__}: {failed}"
                sock.sendall(report(run, found))
            case wire.Checkpoint():
                sock.sendall(wire.encode(fork_copy(sock, manner)))
            case _:
                received, *_ = sock.recvmsg(1 << 14, 100)
                if not received:
                    os._exit(0)
                frames.feed(received)


def become(variant: str) -> None:
    """Take away what this kernel has and others have not."""
    name, _, argument = variant.partition("=")
    match name:
        case "no-landlock":
            refuse(LANDLOCK, ENOSYS)
        case "no-seccomp":
            refuse([this_architecture().seccomp], ENOSYS)
        case "no-permits":
            refuse([this_architecture().seccomp], EBUSY, where=(1, 8))
        case "old-landlock":
            landlock.abi = lambda: int(argument)
        case "ordinary-user":
            process.prctl(8, 1)  # PR_SET_KEEPCAPS
            os.setgroups(())
            os.setresgid(*[AN_ORDINARY_USER] * 3)
            os.setresuid(*[AN_ORDINARY_USER] * 3)
            # Python may be where only root may read: CAP_DAC_READ_SEARCH, effective and permitted
            capabilities = struct.pack("@6I", 1 << 2, 1 << 2, 0, 0, 0, 0)
            process.syscall(this_architecture().capset, struct.pack("@Ii", 0x20080522, 0), capabilities)
        case "no-filter":
            seccomp.filter_calls = lambda architecture, program: None
        case "root-alone":  # as in a container that maps no other users
            refuse([117 if probes.X86 else 147], EBUSY)


become(sys.argv[1])
worker.serve = serve
sys.exit(zygote.main(sys.argv[2:]))
