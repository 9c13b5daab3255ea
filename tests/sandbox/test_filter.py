"""The filters of both architectures, run by an interpreter of BPF: the machine that runs the tests has one."""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections.abc import Iterable

import pytest

from engine.isolate.sandbox import seccomp
from engine.isolate.sandbox.seccomp import ALLOW, EPERM, KILL_PROCESS, NOTIFY
from engine.isolate.sandbox.syscalls import ARCHITECTURES, X86_64, Architecture

LOAD, AND, EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06


def decide(program: bytes, data: bytes) -> int:
    """What the kernel would do with a call whose ``struct seccomp_data`` is ``data``."""
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == AND:
            accumulator &= value
        elif code == EQUAL:
            at += if_true if accumulator == value else if_false
        elif code == RETURN:
            return int(value)
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def call(architecture: int, number: int, *arguments: int) -> bytes:
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    return struct.pack("<IIQ6Q", number, architecture, 0, *padded)


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return ARCHITECTURES[request.param]


class Filter:
    """The filter of a worker."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.program = seccomp.worker_program(architecture)

    def __call__(self, name: str, *arguments: int) -> int:
        number = self.architecture.allowed[name]
        return decide(self.program, call(self.architecture.audit, number, *arguments))

    def verdicts(self, name: str, calls: Iterable[tuple[int, ...]]) -> set[int]:
        return {self(name, *arguments) for arguments in calls}


@pytest.fixture
def verdict(architecture: Architecture) -> Filter:
    return Filter(architecture)


def test_the_filter_allows_its_table_and_nothing_else(architecture: Architecture, verdict: Filter) -> None:
    plain = {number for name, number in architecture.allowed.items() if name not in seccomp.RULES}
    listed = set(architecture.allowed.values())
    found = {number: decide(verdict.program, call(architecture.audit, number)) for number in range(1024)}
    assert {number for number in plain if found[number] != ALLOW} == set()
    assert {number for number in found if number not in listed and found[number] != EPERM} == set()


def test_every_rule_is_about_a_call_of_the_table(architecture: Architecture) -> None:
    assert set(seccomp.RULES) <= set(architecture.allowed)


def test_a_worker_may_name_memory_and_set_nothing_else(verdict: Filter) -> None:
    assert verdict("prctl", seccomp.PR_SET_VMA) == ALLOW
    assert verdict.verdicts("prctl", ((option,) for option in range(80))) == {EPERM}


def test_a_worker_may_fork_plainly_and_have_no_other_child(verdict: Filter) -> None:
    for flags in seccomp.FORK_FLAGS:
        assert verdict("clone", flags) == ALLOW
        assert verdict.verdicts("clone", ((flags ^ 1 << bit,) for bit in range(32))) == {EPERM}


def test_a_worker_may_limit_its_own_memory_and_nothing_else(verdict: Filter) -> None:
    assert verdict("prlimit64", 0, resource.RLIMIT_DATA) == ALLOW
    others = {*range(32), -1 & 0xFFFF_FFFF} - {resource.RLIMIT_DATA}
    assert verdict.verdicts("prlimit64", ((0, what) for what in others)) == {EPERM}
    assert verdict.verdicts("prlimit64", ((pid, resource.RLIMIT_DATA) for pid in (1, 4711))) == {EPERM}


def test_a_worker_may_make_itself_nicer_and_nobody_else(verdict: Filter) -> None:
    assert verdict("setpriority", os.PRIO_PROCESS, 0, 19) == ALLOW
    others = [(os.PRIO_PGRP, 0), (os.PRIO_USER, 0), (os.PRIO_PROCESS, 4711)]
    assert verdict.verdicts("setpriority", others) == {EPERM}


PRIVATE, SHARED, FIXED, ANONYMOUS, NORESERVE = 0x2, 0x1, 0x10, 0x20, 0x4000
SHARED_VALIDATE, GROWSDOWN, LOCKED, HUGETLB = 0x3, 0x100, 0x2000, 0x40000


@pytest.mark.parametrize("more", [0, FIXED, NORESERVE, FIXED | NORESERVE])
def test_a_worker_may_map_private_memory(verdict: Filter, more: int) -> None:
    assert verdict("mmap", 0, 4096, 3, PRIVATE | ANONYMOUS | more, -1 & 2**64 - 1) == ALLOW


@pytest.mark.parametrize(
    "flags",
    [
        PRIVATE,
        SHARED | ANONYMOUS,
        SHARED_VALIDATE | ANONYMOUS,
        *(PRIVATE | ANONYMOUS | flag for flag in (GROWSDOWN, LOCKED, HUGETLB)),
    ],
)
def test_a_worker_may_not_map_what_its_limit_does_not_count(verdict: Filter, flags: int) -> None:
    assert verdict("mmap", 0, 4096, 3, flags, 3) == EPERM


@pytest.mark.parametrize("name", ["mprotect", "pkey_mprotect"])
def test_a_worker_may_not_take_from_its_memory_what_makes_it_count(verdict: Filter, name: str) -> None:
    read, write, execute = 1, 2, 4
    allowed = {prot for prot in range(8) if verdict(name, 4096, 4096, prot, 0) == ALLOW}
    assert allowed == {write, read | write, write | execute, read | write | execute}


def test_a_worker_may_give_memory_back_and_give_no_other_advice(verdict: Filter) -> None:
    allowed = {advice for advice in range(128) if verdict("madvise", 0, 4096, advice) == ALLOW}
    assert allowed == {4, 8, 10, 15, 16}  # MADV_DONTNEED, _FREE, _DONTFORK, _NOHUGEPAGE, _DONTDUMP


def test_a_worker_may_wait_and_wake_and_do_nothing_else_with_futexes(verdict: Filter) -> None:
    plain = {operation for operation in range(128) if verdict("futex", 0, operation) == ALLOW}
    assert plain == {0, 1, 9, 10}  # FUTEX_WAIT, _WAKE, _WAIT_BITSET, _WAKE_BITSET
    private_real_time = 0x180
    assert verdict.verdicts("futex", ((0, operation | private_real_time) for operation in plain)) == {ALLOW}


def test_a_worker_may_only_send_in_order_over_the_socket_it_has(verdict: Filter) -> None:
    assert verdict("sendto", 3, 4096, 1, 0) == ALLOW
    assert verdict("sendto", 3, 4096, 1, socket.MSG_NOSIGNAL) == ALLOW
    addresses = [(3, 4096, 1, 0, 8), (3, 4096, 1, 0, 1 << 40)]
    assert verdict.verdicts("sendto", addresses) == {EPERM}
    assert verdict("sendto", 3, 4096, 1, socket.MSG_OOB) == EPERM
    assert verdict("recvmsg", 3, 4096, 0) == ALLOW
    assert verdict("recvmsg", 3, 4096, socket.MSG_OOB) == EPERM


@pytest.mark.parametrize("name", ["clock_gettime", "clock_nanosleep"])
def test_a_worker_may_read_clocks_but_not_those_of_other_processes(verdict: Filter, name: str) -> None:
    assert verdict.verdicts(name, ((clock,) for clock in range(12))) == {ALLOW}
    assert verdict.verdicts(name, ((~pid << 3 & 0xFFFF_FFFF | 2,) for pid in (1, 4711))) == {EPERM}


def test_the_filter_kills_calls_of_other_architectures(architecture: Architecture, verdict: Filter) -> None:
    others = [a.audit for a in ARCHITECTURES.values() if a is not architecture]
    for other in (0x40000003, *others):
        assert decide(verdict.program, call(other, architecture.allowed["read"])) == KILL_PROCESS


def test_x32_numbers_are_refused() -> None:
    program = seccomp.worker_program(X86_64)
    assert decide(program, call(X86_64.audit, 0x4000_0000 | X86_64.allowed["read"])) == EPERM


def test_the_filter_of_forks_asks_about_them_and_nothing_else(architecture: Architecture) -> None:
    program = seccomp.fork_program(architecture)
    asked = {n for n in range(1024) if decide(program, call(architecture.audit, n)) == NOTIFY}
    allowed = {n for n in range(1024) if decide(program, call(architecture.audit, n)) == ALLOW}
    assert asked == {architecture.allowed[name] for name in ("clone", "fork") if name in architecture.allowed}
    assert allowed == set(range(1024)) - asked
