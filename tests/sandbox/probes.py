"""What native code in a worker may try: each a function that raises what the kernel answers.

Not a test: ``drill_zygote`` lets workers run them.
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
import time
from collections.abc import Callable

from engine.isolate import process
from engine.isolate.sandbox import seccomp
from engine.isolate.sandbox.syscalls import this_architecture

LARGE = 16 << 30
"""More than any worker may have."""

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

X86 = platform.machine() == "x86_64"
LISTED = this_architecture().allowed
NEVER_FILTERED = {335, 336} if X86 else set()
"""uretprobe and uprobe: the kernel asks no filter about them, and kills whoever is not being traced."""
# Flags of clone(2), from linux/sched.h, with which a child is no plain copy of its parent.
CLONE_VM, CLONE_PTRACE, CLONE_NEWUSER, SIGCHLD = 0x100, 0x2000, 0x10000000, 17
READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
MAP_GROWSDOWN, MAP_LOCKED, MAP_HUGETLB = 0x100, 0x2000, 0x40000
MADV_MERGEABLE, MADV_HUGEPAGE, MADV_POPULATE_READ = 12, 14, 22
FUTEX_LOCK_PI, FUTEX_REQUEUE = 6, 3


def call(x86_64: int, aarch64: int, *arguments: int | bytes) -> Callable[[], object]:
    """A call by number, for what Python has no function for."""
    return lambda: process.syscall(x86_64 if X86 else aarch64, *arguments)


def map_memory(size: int, protection: int = READ_WRITE, flags: int = ANONYMOUS, descriptor: int = -1) -> int:
    address: int = libc.mmap(None, size, protection, flags, descriptor, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    return address


def advise(advice: int) -> None:
    if libc.madvise(map_memory(1 << 16), 1 << 16, advice) != 0:
        raise OSError(ctypes.get_errno(), "madvise")


def protect(address: int, size: int, protection: int) -> None:
    if libc.mprotect(address, size, protection) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")


def hide(protection: int) -> None:
    """Keep what was written where it is not counted as writable memory."""
    address = map_memory(1 << 16)
    ctypes.memset(address, 1, 1 << 16)
    protect(address, 1 << 16, protection)


def compile_and_run() -> None:
    """What a just-in-time compiler does: write code, make it executable, call it."""
    code = b"\xb8\x2a\x00\x00\x00\xc3" if X86 else b"\x40\x05\x80\x52\xc0\x03\x5f\xd6"  # return 42
    address = map_memory(4096)
    ctypes.memmove(address, code, len(code))
    protect(address, 4096, READ_WRITE | mmap.PROT_EXEC)
    if ctypes.CFUNCTYPE(ctypes.c_int)(address)() != 42:
        raise AssertionError("the code did not run")
    libc.munmap(address, 4096)


def foreign_call() -> None:
    """getpid by the 32-bit entry: mov eax, 20; int 0x80; ret."""
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
    address = map_memory(4096, READ_WRITE | mmap.PROT_EXEC)
    ctypes.memmove(address, code, len(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def change_memory_limit() -> None:
    allowed, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed - 4096, hard))
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))


def wait_on_futex(operation: int) -> None:
    """Not asleep: the value is another one."""
    word = ctypes.c_uint32(1)
    try:
        process.syscall(LISTED["futex"], ctypes.addressof(word), operation, 0, 0, 0, 0)
    except BlockingIOError:  # EAGAIN: allowed
        return


def clock_of(pid: int) -> None:
    time.clock_gettime(~pid << 3 | 2)


def denied(sock: socket.socket, zygote: int, server: int, sibling: int) -> dict[str, Callable[[], object]]:
    """What must fail."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]
    send = LISTED["sendto"]
    address = b"\1\0" + b"\0mcp-v8-drill".ljust(108, b"\0")
    me = os.getpid()
    raised = struct.pack("@QQ", LARGE, 1 << 60)
    return {
        # files
        "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "create": lambda: os.open("/tmp/mcp-v8-escape", os.O_CREAT | os.O_WRONLY),
        "stat": lambda: os.stat("/"),
        "fstat": lambda: os.fstat(0),
        "listdir": lambda: os.listdir("/"),
        "readlink": lambda: os.readlink("/proc/self/exe"),
        "chdir": lambda: os.chdir("/"),
        "unlink": lambda: os.unlink("/tmp/mcp-v8-none"),
        "own environment": lambda: os.open("/proc/self/environ", os.O_RDONLY),
        "own memory": lambda: os.open("/proc/self/mem", os.O_RDWR),
        "memory of the server": lambda: os.open(f"/proc/{server}/mem", os.O_RDWR),
        "environment of the server": lambda: os.open(f"/proc/{server}/environ", os.O_RDONLY),
        "descriptors of the server": lambda: os.listdir(f"/proc/{server}/fd"),
        "open by handle": call(304, 265, 0, 0, 0),
        "chroot": lambda: os.chroot("/"),
        "mount": call(165, 40, 0, 0, 0, 0, 0),
        "inotify": call(294, 26, 0),
        "memfd_create": lambda: os.memfd_create("x"),
        # connections and descriptors
        "socket": lambda: socket.socket(socket.AF_INET),
        "local socket": lambda: socket.socket(socket.AF_UNIX),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "crypto socket": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET),
        "socketpair": socket.socketpair,
        "bind": call(49, 200, 3, address, len(address)),
        "connect": call(42, 203, 3, address, len(address)),
        "listen": call(50, 201, 3, 1),
        "accept": call(288, 242, 3, 0, 0, 0),
        "send to an address": call(send, send, 3, b"x", 1, 0, address, len(address)),
        "out-of-band data": lambda: sock.send(b"x", socket.MSG_OOB),
        "receive out-of-band data": lambda: sock.recvmsg(1, 0, socket.MSG_OOB | socket.MSG_DONTWAIT),
        "pass a descriptor": lambda: sock.sendmsg([b"x"], rights),
        "dup": lambda: os.dup(0),
        "pipe": os.pipe,
        "eventfd": lambda: os.eventfd(0),
        "epoll": select.epoll,
        "fcntl": call(72, 25, 0, 1, 0),
        "ioctl": call(16, 29, 0, 0x5401, 0),
        "sendfile": lambda: os.sendfile(3, 0, 0, 1),
        "splice": call(275, 76, 0, 0, 3, 0, 1, 0),
        # processes
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "execveat": call(322, 281, 0, b"/bin/true", 0, 0, 0),
        "thread": lambda: _thread.start_new_thread(lambda: None, ()),
        "vfork": call(58, 220, 0, 0),
        "clone3": call(435, 435, 0, 0),
        "fork for a debugger": call(56, 220, CLONE_PTRACE | SIGCHLD, 0, 0, 0, 0),
        "share memory with a child": call(56, 220, CLONE_VM | SIGCHLD, 0, 0, 0, 0),
        "fork into a new namespace": call(56, 220, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0),
        "unshare": call(272, 97, CLONE_NEWUSER),
        "setns": call(308, 268, 0, 0),
        "kill the zygote": lambda: os.kill(zygote, 0),
        "kill the server": lambda: os.kill(server, 0),
        "kill a sibling": lambda: os.kill(sibling, 0),
        "kill everybody": lambda: os.kill(-1, 0),
        "kill itself": lambda: os.kill(me, 0),
        "tgkill": call(234, 131, sibling, sibling, 0),
        "queue a signal": call(129, 138, sibling, 0, 0),
        "pidfd_open": lambda: os.pidfd_open(sibling),
        "pidfd_getfd": call(438, 438, 3, 0, 0),
        "signal by pidfd": call(424, 424, 3, 0, 0, 0),
        "ptrace": call(101, 117, 16, sibling, 0, 0),
        "read a sibling": call(310, 270, sibling, 0, 0, 0, 0, 0),
        "write a sibling": call(311, 271, sibling, 0, 0, 0, 0, 0),
        "advise a sibling": call(440, 440, 3, 0, 0, 0, 0),
        "kcmp": call(312, 272, sibling, zygote, 0, 0, 0),
        "time of a sibling": lambda: clock_of(sibling),
        "wait": lambda: os.waitpid(-1, os.WNOHANG),
        "leave the process group": lambda: os.setpgid(0, 0),
        "leave the session": os.setsid,
        "priority of a sibling": lambda: os.setpriority(os.PRIO_PROCESS, sibling, 19),
        "priority of a user": lambda: os.setpriority(os.PRIO_USER, 0, 19),
        "real-time scheduling": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "another processor": lambda: os.sched_setaffinity(0, {0}),
        # rights
        "setuid": lambda: os.setuid(0),
        "setgroups": lambda: os.setgroups([0]),
        "capset": call(126, 91, 0, 0),
        "become dumpable": lambda: process.prctl(4, 1),
        "outlive the server": lambda: process.prctl(process.PR_SET_PDEATHSIG, 0),
        "another filter": lambda: process.prctl(22, 2),
        "a filter of its own": call(317, 277, 1, 0, 0),
        "another Landlock ruleset": call(444, 444, 0, 0, 1),
        "keyctl": call(250, 219, 0, 0, 0),
        "personality": call(135, 92, 0x0040000),
        "raise a limit": call(302, 261, 0, resource.RLIMIT_NOFILE, 0, 0),
        "limit another process": call(302, 261, sibling, resource.RLIMIT_DATA, 0, 0),
        "raise the hard limit": call(302, 261, 0, resource.RLIMIT_DATA, raised, 0),
        "a signal handler": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
        "a timer": lambda: signal.setitimer(signal.ITIMER_REAL, 1),
        # doors into the kernel
        "io_uring": call(425, 425, 1, 0),
        "userfaultfd": call(323, 282, 0),
        "bpf": call(321, 280, 0, 0, 0),
        "perf_event_open": call(298, 241, 0, 0, -1, -1, 0),
        "shared memory segment": call(29, 194, 0, 4096, 0o1600),
        "message queue": call(68, 186, 0, 0o1600),
        "kernel log": call(103, 116, 3, 0, 0),
        "reboot": call(169, 142, 0, 0, 0, 0),
        "load a module": call(313, 273, 0, b"", 0),
        "futex with an owner": lambda: wait_on_futex(FUTEX_LOCK_PI),
        "requeue a futex": lambda: wait_on_futex(FUTEX_REQUEUE),
        # memory that its limit does not count
        "shared memory": lambda: map_memory(4096, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
        "map a descriptor": lambda: map_memory(4096, flags=mmap.MAP_PRIVATE, descriptor=0),
        "a stack": lambda: map_memory(4096, flags=ANONYMOUS | MAP_GROWSDOWN),
        "huge pages": lambda: map_memory(2 << 20, flags=ANONYMOUS | MAP_HUGETLB),
        "locked memory": lambda: map_memory(4096, flags=ANONYMOUS | MAP_LOCKED),
        "hide pages": lambda: hide(0),
        "hide pages that can be read": lambda: hide(mmap.PROT_READ),
        "hide code": lambda: hide(mmap.PROT_READ | mmap.PROT_EXEC),
        "merge pages with others": lambda: advise(MADV_MERGEABLE),
        "ask for huge pages": lambda: advise(MADV_HUGEPAGE),
        "fill page tables": lambda: advise(MADV_POPULATE_READ),
    }


HARMLESS = ("open", "create", "listdir", "local socket", "kill the server")
"""What does no harm where it is not denied."""


def refused_memory() -> dict[str, Callable[[], object]]:
    """What must fail for want of memory."""
    return {
        "memory over the budget": lambda: map_memory(LARGE),
        "address space over the limit": lambda: map_memory(1 << 40, 0),
    }


def allowed(sock: socket.socket) -> dict[str, Callable[[], object]]:
    """What must go on working."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return {
        "be nicer": lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
        "poll": lambda: poll.poll(1000),
        "memory within the budget": lambda: map_memory(16 << 20),
        "reserve address space": lambda: map_memory(1 << 30, 0),
        "give memory back": lambda: advise(4),
        "compile and run": compile_and_run,
        "lower the memory limit and raise it again": change_memory_limit,
        "wait on a futex": lambda: wait_on_futex(0x80),
        "clock": time.process_time,
        "sleep": lambda: time.sleep(0.0001),
        "random": lambda: os.urandom(16),
        "close": lambda: os.close(1),
    }


def name_memory() -> None:
    """EINVAL comes from the call itself: this kernel was built without names."""
    try:
        process.syscall(LISTED["prctl"], seccomp.PR_SET_VMA, 0, map_memory(4096), 4096, b"x")
    except OSError as refused:
        if refused.errno != 22:
            raise


def unlisted() -> dict[str, Callable[[], object]]:
    """Every call that is not in the table, by number, with arguments that mean nothing."""
    listed = set(LISTED.values())

    def probe(number: int) -> Callable[[], object]:
        return lambda: process.syscall(number, -1, -1, -1, -1, -1, -1)

    return {str(number): probe(number) for number in range(600) if number not in listed | NEVER_FILTERED}


def outcome(probe: Callable[[], object]) -> int | str:
    """The error number of what the kernel answers, or "ok"."""
    try:
        probe()
    except OSError as refused:
        return refused.errno or str(refused)
    except Exception as other:  # noqa: BLE001 - told to the test
        return f"{type(other).__name__}: {other}"
    return "ok"
