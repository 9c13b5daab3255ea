"""A process that enters the sandbox and tells over its socket what it could still do.

    python sandbox_child.py SOCKET probes      → a MessagePack map: name of the probe to "ok" or errno
    python sandbox_child.py SOCKET landlock    → the same for a few probes, with Landlock alone
    python sandbox_child.py SOCKET foreign     → makes a 32-bit system call and so never answers

Not a test: test_sandbox.py starts it.
"""

# The probes are the plain system calls.
# ruff: noqa: PTH108, PTH115, PTH116, PTH208

from __future__ import annotations

import _thread
import array
import ctypes
import mmap
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable

import msgspec

from engine.isolate import process, sandbox

BUDGET = 64 << 20
LARGE = 256 << 20

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

X86 = platform.machine() == "x86_64"
# Flags of clone(2), from linux/sched.h, with which a child is no plain copy of its parent.
CLONE_VM, CLONE_PTRACE, CLONE_NEWUSER, SIGCHLD = 0x100, 0x2000, 0x10000000, 17
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def raw(x86_64: int, aarch64: int, *arguments: int | bytes) -> Callable[[], object]:
    """A call by number, for what Python has no function for."""
    return lambda: process.syscall(x86_64 if X86 else aarch64, *arguments)


def map_memory(size: int, protection: int) -> int:
    address: int = libc.mmap(None, size, protection, ANONYMOUS, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    return address


def compile_and_run() -> None:
    """What a just-in-time compiler does: write code, make it executable, call it."""
    code = b"\xb8\x2a\x00\x00\x00\xc3" if X86 else b"\x40\x05\x80\x52\xc0\x03\x5f\xd6"  # return 42
    address = map_memory(4096, mmap.PROT_READ | mmap.PROT_WRITE)
    ctypes.memmove(address, code, len(code))
    if libc.mprotect(address, 4096, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() != 42:
        raise AssertionError("the code did not run")
    libc.munmap(address, 4096)


def change_memory_limit() -> None:
    allowed, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed - 4096, hard))
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def fork_and_end() -> None:
    """As a worker does for a checkpoint; the child is reaped by the test's own end."""
    if os.fork() == 0:
        os._exit(0)


def foreign_call() -> None:
    """getpid by the 32-bit entry: mov eax, 20; int 0x80; ret."""
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
    address = map_memory(4096, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    ctypes.memmove(address, code, len(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def probes(sock: socket.socket) -> dict[str, Callable[[], object]]:
    parent, me = os.getppid(), os.getpid()
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]
    return {
        # must fail
        "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "create": lambda: os.open("/tmp/mcp-v8-escape", os.O_CREAT | os.O_WRONLY),
        "stat": lambda: os.stat("/"),
        "fstat": lambda: os.fstat(0),
        "listdir": lambda: os.listdir("/"),
        "readlink": lambda: os.readlink("/proc/self/exe"),
        "chdir": lambda: os.chdir("/"),
        "unlink": lambda: os.unlink("/tmp/mcp-v8-none"),
        "socket": lambda: socket.socket(socket.AF_INET),
        "socketpair": socket.socketpair,
        "pass a descriptor": lambda: sock.sendmsg([b"x"], rights),
        "dup": lambda: os.dup(0),
        "pipe": os.pipe,
        "fork for a debugger": raw(56, 220, CLONE_PTRACE | SIGCHLD, 0, 0, 0, 0),
        "share memory with a child": raw(56, 220, CLONE_VM | SIGCHLD, 0, 0, 0, 0),
        "fork into a new namespace": raw(56, 220, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0),
        "vfork": raw(58, 220, 0, 0),
        "clone3": raw(435, 435, 0, 0),
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "thread": lambda: _thread.start_new_thread(lambda: None, ()),
        "kill parent": lambda: os.kill(parent, 0),
        "kill self": lambda: os.kill(me, 0),
        "tgkill": raw(234, 131, me, me, 0),
        "pidfd_open": lambda: os.pidfd_open(parent),
        "ptrace": raw(101, 117, 16, parent, 0, 0),
        "process_vm_readv": raw(310, 270, parent, 0, 0, 0, 0, 0),
        "process_vm_writev": raw(311, 271, parent, 0, 0, 0, 0, 0),
        "memfd_create": lambda: os.memfd_create("x"),
        "io_uring_setup": raw(425, 425, 1, 0),
        "userfaultfd": raw(323, 282, 0),
        "bpf": raw(321, 280, 0, 0, 0),
        "perf_event_open": raw(298, 241, 0, 0, -1, -1, 0),
        "unshare": raw(272, 97, 0x10000000),
        "mount": raw(165, 40, 0, 0, 0, 0, 0),
        "keyctl": raw(250, 219, 0, 0, 0),
        "ioctl": raw(16, 29, 0, 0x5401, 0),
        "fcntl": raw(72, 25, 0, 1, 0),
        "setrlimit": raw(302, 261, 0, 7, 0, 0),
        "limit another process": raw(302, 261, parent, resource.RLIMIT_DATA, 0, 0),
        "raise the hard limit": raw(
            302, 261, 0, resource.RLIMIT_DATA, struct.pack("@QQ", BUDGET, 1 << 60), 0
        ),
        "setuid": lambda: os.setuid(0),
        "rt_sigaction": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
        "clear the parent-death signal": lambda: process.prctl(process.PR_SET_PDEATHSIG, 0),
        "become dumpable": lambda: process.prctl(4, 1),
        "another filter": lambda: process.prctl(22, 2),
        "memory over the budget": lambda: map_memory(LARGE, mmap.PROT_READ | mmap.PROT_WRITE),
        # must go on working
        "write": lambda: sock.send(b"ping"),
        "read": lambda: sock.recvmsg(4, 100),
        "fork": fork_and_end,
        "be nicer": lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
        "poll": lambda: poll.poll(1000),
        "memory within the budget": lambda: map_memory(BUDGET // 4, mmap.PROT_READ | mmap.PROT_WRITE),
        "reserve address space": lambda: map_memory(LARGE, 0),
        "compile and run": compile_and_run,
        "name memory": lambda: process.syscall(
            157 if X86 else 167, sandbox.PR_SET_VMA, 0, map_memory(4096, 3), 4096, b"x"
        ),
        "lower the memory limit and raise it again": change_memory_limit,
        "clock": time.process_time,
        "sleep": lambda: time.sleep(0.0001),
        "random": lambda: os.urandom(16),
        "close": lambda: os.close(1),
    }


def outcome(probe: Callable[[], object]) -> int | str:
    try:
        probe()
    except OSError as refused:
        return refused.errno or str(refused)
    except Exception as other:  # noqa: BLE001 - told to the test
        return f"{type(other).__name__}: {other}"
    return "ok"


def main() -> None:
    sock = socket.socket(fileno=int(sys.argv[1]))
    mode = sys.argv[2]
    attempts = probes(sock)
    if mode == "landlock":
        process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
        sandbox.deny_files_and_network(sandbox.landlock_abi())
        attempts = {name: attempts[name] for name in ("open", "create", "listdir", "kill parent", "socket")}
    else:
        sandbox.enter(process.data_bytes() + BUDGET, sandbox.filter_program(sandbox.this_architecture()))
    if mode == "foreign":
        foreign_call()
    results = {name: outcome(probe) for name, probe in attempts.items()}
    sock.sendall(msgspec.msgpack.encode(results))
    sock.recv(1)  # stay until looked at


main()
