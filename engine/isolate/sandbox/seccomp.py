"""The filter of system calls: which a worker may make, and with which arguments.

V8 and libc probe files and features now and then and cope with a refusal, so a refused call fails with
EPERM and ends nothing. A call under another architecture's numbers is no probe: it kills.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import socket
import struct
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine.isolate.process import address_of, syscall
from engine.isolate.sandbox.syscalls import Architecture


class Condition(Struct, frozen=True):
    """What an argument must be: its low word, or its high one, under a mask, one of some values.

    The kernel takes the arguments of all calls here but addresses as ints, so that their low words decide.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFF_FFFF
    of_high_word: bool = False


PR_SET_VMA: Final = 0x53564D41
"""V8 names its memory areas with it."""
FORK_FLAGS: Final = (0x01200011, 0x11)
"""What fork of glibc gives to clone, CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD, and that of musl
where there is no call named fork: SIGCHLD."""

_MAP_GROWSDOWN, _MAP_LOCKED, _MAP_HUGETLB = 0x100, 0x2000, 0x40000  # linux/mman.h, asm-generic/mman.h
_MADV_DONTNEED, _MADV_FREE, _MADV_DONTFORK, _MADV_NOHUGEPAGE, _MADV_DONTDUMP = 4, 8, 10, 15, 16
_FUTEX_WAIT, _FUTEX_WAKE, _FUTEX_WAIT_BITSET, _FUTEX_WAKE_BITSET = 0, 1, 9, 10  # linux/futex.h
_FUTEX_FLAGS = 0x180  # FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME
_ANOTHER_PROCESS = 0x8000_0000
"""Clock numbers with this bit mean the processor time of some process, or a device."""

_OWN_CLOCK = (Condition(0, (0,), mask=_ANOTHER_PROCESS),)
_STAYS_WRITABLE = (Condition(2, (mmap.PROT_WRITE,), mask=mmap.PROT_WRITE),)
"""What was written to and is not writable any more is kept, and RLIMIT_DATA does not count it."""

RULES: Final[dict[str, tuple[Condition, ...]]] = {
    # Private anonymous memory: shared memory and stacks are what RLIMIT_DATA does not count.
    "mmap": (
        Condition(
            3,
            (mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,),
            mask=0xF | mmap.MAP_ANONYMOUS | _MAP_GROWSDOWN | _MAP_LOCKED | _MAP_HUGETLB,
        ),
    ),
    "mprotect": _STAYS_WRITABLE,
    "pkey_mprotect": _STAYS_WRITABLE,
    "madvise": (
        Condition(2, (_MADV_DONTNEED, _MADV_FREE, _MADV_DONTFORK, _MADV_NOHUGEPAGE, _MADV_DONTDUMP)),
    ),
    "prctl": (Condition(0, (PR_SET_VMA,)),),
    # its own memory alone, within the hard limit
    "prlimit64": (Condition(0, (0,)), Condition(1, (resource.RLIMIT_DATA,))),
    "clone": (Condition(0, FORK_FLAGS),),
    "setpriority": (Condition(0, (os.PRIO_PROCESS,)), Condition(1, (0,))),
    # neither locks with an owner nor requeueing, where the kernel had its faults
    "futex": (
        Condition(
            1,
            (_FUTEX_WAIT, _FUTEX_WAKE, _FUTEX_WAIT_BITSET, _FUTEX_WAKE_BITSET),
            mask=0xFFFF_FFFF ^ _FUTEX_FLAGS,
        ),
    ),
    # Over the socket that there is, in order: out-of-band data of local sockets was a way into the kernel.
    "sendto": (
        Condition(3, (0, socket.MSG_NOSIGNAL)),
        Condition(4, (0,)),
        Condition(4, (0,), of_high_word=True),
    ),
    "recvmsg": (Condition(2, (0,)),),
    "clock_gettime": _OWN_CLOCK,
    "clock_nanosleep": _OWN_CLOCK,
}
"""What the arguments of a call must be, where not all are allowed: all of these."""

# Actions of a filter (linux/seccomp.h).
ALLOW: Final = 0x7FFF0000
EPERM: Final = 0x00050001
NOTIFY: Final = 0x7FC00000
KILL_PROCESS: Final = 0x80000000

# Instructions of classic BPF (linux/bpf_common.h) and where struct seccomp_data has its fields.
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

Instruction = tuple[int, int, int, int]
"""Operation, instructions to skip if true and if false, operand."""


def worker_program(architecture: Architecture) -> bytes:
    """The filter that allows the calls of the table, as ``RULES`` say, and refuses all others."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    numbers = architecture.allowed
    for name, conditions in RULES.items():
        block = _decide(conditions)
        program += [(_EQUAL, 0, len(block), numbers[name]), *block]
    plain = [number for name, number in numbers.items() if name not in RULES]
    program += [(_EQUAL, len(plain) - at, 0, number) for at, number in enumerate(plain)]
    program += [(_RETURN, 0, 0, EPERM), (_RETURN, 0, 0, ALLOW)]
    return _encode(program)


def fork_program(architecture: Architecture) -> bytes:
    """The filter that leaves each fork to whoever holds its listener, and allows all other calls."""
    calls = [architecture.allowed[name] for name in ("clone", "fork") if name in architecture.allowed]
    return _encode(
        [
            (_LOAD, 0, 0, _NUMBER_AT),
            *((_EQUAL, len(calls) - at, 0, number) for at, number in enumerate(calls)),
            (_RETURN, 0, 0, ALLOW),
            (_RETURN, 0, 0, NOTIFY),
        ]
    )


def install(architecture: Architecture, program: bytes, flags: int) -> int:
    """Put a filter in force; what the kernel answers to the flags. Raises OSError."""
    set_mode_filter = 1  # SECCOMP_SET_MODE_FILTER
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, address_of(code))
    return syscall(architecture.seccomp, set_mode_filter, flags, header)


def filter_calls(architecture: Architecture, program: bytes) -> None:
    """Put the filter of a worker in force, in a process with one thread. Raises OSError."""
    whole_process = 1  # SECCOMP_FILTER_FLAG_TSYNC
    unsynchronized = install(architecture, program, whole_process)
    if unsynchronized:
        raise OSError(f"thread {unsynchronized} cannot take the filter; a worker must have one thread")


def _decide(conditions: Sequence[Condition]) -> list[Instruction]:
    """Allow if all conditions hold, else refuse."""
    block: list[Instruction] = []
    for condition in conditions:
        values = condition.values
        block += [
            (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * condition.argument + 4 * condition.of_high_word),
            (_AND, 0, 0, condition.mask),
            *((_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)),
            (_RETURN, 0, 0, EPERM),
        ]
    return [*block, (_RETURN, 0, 0, ALLOW)]


def _encode(program: Sequence[Instruction]) -> bytes:
    """As the kernel reads it: 8 bytes for each instruction."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
