"""What a worker may ask of the kernel: next to nothing.

``enter`` is called once, in a process with a single thread that has opened and imported everything it
will ever need. Layers, each of which would be enough alone for most of what it forbids: resource
limits, no capabilities, no_new_privs, Landlock (where the kernel has it), and a seccomp filter that
allows the system calls of a running V8 with its compilers and fails all others with EPERM.

V8 and libc probe files and features now and then and cope with a refusal, so a refused call is an
error and not a crash. A call under another architecture's numbers is no probe: it kills.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from typing import Final

from msgspec import Struct

from engine.errors import PlatformRefused
from engine.isolate.process import PR_SET_NO_NEW_PRIVS, address_of, prctl, syscall


class SandboxReport(Struct, frozen=True):
    """Which layers are in force in every worker (limits and seccomp always are)."""

    seccomp: bool = True
    landlock_abi: int = 0
    """Version of Landlock in the kernel; 0: none, the other layers stand alone."""


class Architecture(Struct, frozen=True):
    """System call numbers of one machine type (Linux, asm/unistd.h)."""

    audit: int
    """AUDIT_ARCH_* of linux/audit.h: what the kernel calls this architecture in a filter."""
    seccomp: int
    capset: int
    prctl: int
    prlimit64: int
    clone: int
    allowed: dict[str, int]


# Reading and writing what is open, memory for heap and compilers, time, and ending. Where libc has a
# choice (poll or ppoll) both are here. pkey_mprotect is what V8 uses in place of mprotect on processors
# with protection keys. A copy that makes a snapshot comes from a plain fork, as glibc or musl make one, and
# makes itself nicer. Descriptors are received, from the server. Absent on purpose: everything that opens,
# executes, signals, or sends descriptors.
X86_64: Final = Architecture(
    audit=0xC000003E,
    seccomp=317,
    capset=126,
    prctl=157,
    prlimit64=302,
    clone=56,
    allowed={
        "read": 0,
        "write": 1,
        "close": 3,
        "poll": 7,
        "mmap": 9,
        "mprotect": 10,
        "munmap": 11,
        "brk": 12,
        "rt_sigprocmask": 14,
        "rt_sigreturn": 15,
        "sched_yield": 24,
        "mremap": 25,
        "madvise": 28,
        "nanosleep": 35,
        "getpid": 39,
        "sendto": 44,
        "recvmsg": 47,
        "fork": 57,
        "exit": 60,
        "gettimeofday": 96,
        "getrusage": 98,
        "sigaltstack": 131,
        "setpriority": 141,
        "gettid": 186,
        "time": 201,
        "futex": 202,
        "set_tid_address": 218,
        "restart_syscall": 219,
        "clock_gettime": 228,
        "clock_nanosleep": 230,
        "exit_group": 231,
        "ppoll": 271,
        "set_robust_list": 273,
        "getrandom": 318,
        "pkey_mprotect": 329,
    },
)
AARCH64: Final = Architecture(
    audit=0xC00000B7,
    seccomp=277,
    capset=91,
    prctl=167,
    prlimit64=261,
    clone=220,
    allowed={
        "close": 57,
        "read": 63,
        "write": 64,
        "ppoll": 73,
        "exit": 93,
        "exit_group": 94,
        "set_tid_address": 96,
        "futex": 98,
        "set_robust_list": 99,
        "nanosleep": 101,
        "clock_gettime": 113,
        "clock_nanosleep": 115,
        "sched_yield": 124,
        "restart_syscall": 128,
        "sigaltstack": 132,
        "rt_sigprocmask": 135,
        "rt_sigreturn": 139,
        "setpriority": 140,
        "getrusage": 165,
        "gettimeofday": 169,
        "getpid": 172,
        "gettid": 178,
        "sendto": 206,
        "recvmsg": 212,
        "brk": 214,
        "munmap": 215,
        "mremap": 216,
        "mmap": 222,
        "mprotect": 226,
        "madvise": 233,
        "getrandom": 278,
        "pkey_mprotect": 288,
    },
)
ARCHITECTURES: Final = {"x86_64": X86_64, "aarch64": AARCH64}

PR_SET_VMA: Final = 0x53564D41
"""The one prctl that is allowed: V8 names its memory areas with it."""
FORK_FLAGS: Final = (0x01200011, 0x11)
"""What fork of glibc gives to clone, CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD, and that of musl
where there is no call named fork: SIGCHLD."""
MAX_PROCESSES: Final = 4_096
"""Of the user together: so many checkpoints are never made at once, and a fork bomb ends there."""

# Actions of a filter (linux/seccomp.h).
ALLOW: Final = 0x7FFF0000
EPERM: Final = 0x00050001
KILL_PROCESS: Final = 0x80000000

# Landlock (linux/landlock.h); its calls have the same numbers on every architecture.
_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1


def enter(data_limit: int, program: bytes) -> SandboxReport:
    """Give up all rights that a worker does not need, for good.

    ``data_limit`` is the private writable memory that the process may ever have, in bytes: what it has
    now and its budget. It can lower that for a while. ``program`` is the ``filter_program`` of this
    machine, made before the fork so that workers share it. Raises PlatformRefused on a machine without a
    table of system calls, OSError where the kernel refuses a layer.
    """
    architecture = this_architecture()
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities(architecture)
    abi = landlock_abi()
    if abi > 0:
        deny_files_and_network(abi)
    _limit_resources(data_limit)
    _filter_system_calls(architecture, program)
    return SandboxReport(landlock_abi=abi)


def this_architecture() -> Architecture:
    """The table for this machine; raises PlatformRefused where there is none."""
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise PlatformRefused(
            f"the sandbox knows the system calls of {' and '.join(ARCHITECTURES)}, not of {machine}"
        )
    return ARCHITECTURES[machine]


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where it has none or keeps it off."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def filter_program(architecture: Architecture) -> bytes:
    """The seccomp filter as classic BPF instructions of 8 bytes each.

    Allowed calls jump to the end. Three are allowed with certain arguments alone, all of which are ints
    to the kernel, so that the low words decide: ``prctl`` for PR_SET_VMA, ``prlimit64`` for the process
    itself (0) and RLIMIT_DATA, within the hard limit, and ``clone`` for a plain fork.
    """
    load, equal, give = 0x20, 0x15, 0x06
    number_at, architecture_at, arguments_at = 0, 4, (16, 24)
    allowed = sorted(architecture.allowed.values())
    program = [
        (load, 0, 0, architecture_at),
        (equal, 1, 0, architecture.audit),
        (give, 0, 0, KILL_PROCESS),
        (load, 0, 0, number_at),
    ]
    rest = [
        (equal, 0, 4, architecture.prctl),
        (load, 0, 0, arguments_at[0]),
        (equal, 0, 1, PR_SET_VMA),
        (give, 0, 0, ALLOW),
        (give, 0, 0, EPERM),
        (equal, 0, 5, architecture.clone),
        (load, 0, 0, arguments_at[0]),
        (equal, 1, 0, FORK_FLAGS[0]),
        (equal, 0, 1, FORK_FLAGS[1]),
        (give, 0, 0, ALLOW),
        (give, 0, 0, EPERM),
        (equal, 0, 4, architecture.prlimit64),
        (load, 0, 0, arguments_at[0]),
        (equal, 0, 2, 0),
        (load, 0, 0, arguments_at[1]),
        (equal, 1, 0, resource.RLIMIT_DATA),
        (give, 0, 0, EPERM),
        (give, 0, 0, ALLOW),
    ]
    # an allowed call jumps over the other comparisons and all of the rest but its last instruction
    program += [(equal, len(allowed) - 1 - i + len(rest) - 1, 0, nr) for i, nr in enumerate(allowed)]
    program += rest
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _drop_capabilities(architecture: Architecture) -> None:
    """So that limits are limits also where the server runs as root."""
    version_3, this_process = 0x20080522, 0  # linux/capability.h
    syscall(architecture.capset, struct.pack("@Ii", version_3, this_process), bytes(2 * 3 * 4))


def _limit_resources(data_limit: int) -> None:
    for what, value in (
        (resource.RLIMIT_DATA, data_limit),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, MAX_PROCESSES),
        (resource.RLIMIT_NOFILE, 4),  # the standard three and the socket
    ):
        _, hard = resource.getrlimit(what)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (ceiling, ceiling))


def deny_files_and_network(abi: int) -> None:
    """Handle every right that Landlock version ``abi`` knows, and grant none."""
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    tcp = 0b11 if abi >= 4 else 0
    scopes = 0b11 if abi >= 6 else 0  # abstract sockets and signals stay within the sandbox
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    attributes = struct.pack("<QQQ", files, tcp, scopes)[:size]
    ruleset = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _filter_system_calls(architecture: Architecture, program: bytes) -> None:
    set_mode_filter, whole_process = 1, 1  # SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, address_of(code))
    unsynchronized = syscall(architecture.seccomp, set_mode_filter, whole_process, header)
    if unsynchronized:
        raise OSError(f"thread {unsynchronized} cannot take the filter; a worker must have one thread")
