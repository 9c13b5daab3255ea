"""The system calls that a worker may make, by their numbers on each machine type."""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct

from engine.errors import PlatformRefused


class Architecture(Struct, frozen=True):
    """System call numbers of one machine type (Linux, asm/unistd.h)."""

    audit: int
    """AUDIT_ARCH_* of linux/audit.h: what the kernel calls this architecture in a filter."""
    seccomp: int
    capset: int
    allowed: dict[str, int]
    """By name. Some are allowed with certain arguments alone: ``seccomp.RULES``."""


# Reading and writing what is open, memory for heap and compilers, time, and ending. Where libc has a
# choice (poll or ppoll) both are here. pkey_mprotect is what V8 uses in place of mprotect on processors
# with protection keys. A copy that makes a snapshot comes from a plain fork, as glibc or musl make one, and
# makes itself nicer. Descriptors are received, from the server. Absent on purpose: everything that opens,
# executes, signals, or sends descriptors.
X86_64: Final = Architecture(
    audit=0xC000003E,
    seccomp=317,
    capset=126,
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
        "clone": 56,
        "fork": 57,
        "exit": 60,
        "gettimeofday": 96,
        "getrusage": 98,
        "sigaltstack": 131,
        "setpriority": 141,
        "prctl": 157,
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
        "prlimit64": 302,
        "getrandom": 318,
        "pkey_mprotect": 329,
    },
)
AARCH64: Final = Architecture(
    audit=0xC00000B7,
    seccomp=277,
    capset=91,
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
        "prctl": 167,
        "gettimeofday": 169,
        "getpid": 172,
        "gettid": 178,
        "sendto": 206,
        "recvmsg": 212,
        "brk": 214,
        "munmap": 215,
        "mremap": 216,
        "clone": 220,
        "mmap": 222,
        "mprotect": 226,
        "madvise": 233,
        "prlimit64": 261,
        "getrandom": 278,
        "pkey_mprotect": 288,
    },
)
ARCHITECTURES: Final = {"x86_64": X86_64, "aarch64": AARCH64}


def this_architecture() -> Architecture:
    """The table for this machine; raises PlatformRefused where there is none."""
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise PlatformRefused(
            f"the sandbox knows the system calls of {' and '.join(ARCHITECTURES)}, not of {machine}"
        )
    return ARCHITECTURES[machine]
