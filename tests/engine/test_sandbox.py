from __future__ import annotations

import errno
import platform
import resource
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.isolate import sandbox

CHILD = Path(__file__).with_name("sandbox_child.py")

DENIED = (
    "open", "create", "stat", "fstat", "listdir", "readlink", "chdir", "unlink",
    "socket", "socketpair", "pass a descriptor", "dup", "pipe",
    "fork for a debugger", "share memory with a child", "fork into a new namespace", "vfork", "clone3", "exec", "thread",
    "kill parent", "kill self", "tgkill", "pidfd_open", "ptrace", "process_vm_readv", "process_vm_writev",
    "memfd_create", "io_uring_setup", "userfaultfd", "bpf", "perf_event_open", "unshare", "mount", "keyctl",
    "ioctl", "fcntl", "setrlimit", "limit another process", "raise the hard limit", "setuid", "rt_sigaction",
    "clear the parent-death signal", "become dumpable", "another filter",
)  # fmt: skip
ALLOWED = (
    "write", "read", "fork", "be nicer", "poll", "memory within the budget", "reserve address space", "compile and run",
    "lower the memory limit and raise it again", "clock", "sleep", "random", "close",
)  # fmt: skip


class Child:
    """A sandboxed process that has reported its probes and waits."""

    def __init__(self, mode: str) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(10)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(CHILD), str(theirs.fileno()), mode],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = msgspec.msgpack.decode(self.socket.recv(1 << 16))
        return report

    def close(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def probed() -> Iterator[tuple[dict[str, Any], int]]:
    """What a sandboxed process could do, and its pid."""
    child = Child("probes")
    try:
        child.socket.send(b"ping")
        ping = child.socket.recv(4, socket.MSG_WAITALL)
        assert ping == b"ping"
        yield child.report(), child.process.pid
    finally:
        child.close()


@pytest.mark.parametrize("attempt", DENIED)
def test_the_kernel_refuses_a_worker(probed: tuple[dict[str, Any], int], attempt: str) -> None:
    # Python's thread module reports a refused clone without its errno.
    expected = "RuntimeError: can't start new thread" if attempt == "thread" else errno.EPERM
    assert probed[0][attempt] == expected


@pytest.mark.parametrize("need", ALLOWED)
def test_a_worker_can(probed: tuple[dict[str, Any], int], need: str) -> None:
    assert probed[0][need] == "ok"


def test_a_worker_gets_no_more_memory_than_its_budget(probed: tuple[dict[str, Any], int]) -> None:
    assert probed[0]["memory over the budget"] == errno.ENOMEM


def test_a_worker_can_name_memory_where_the_kernel_can(probed: tuple[dict[str, Any], int]) -> None:
    # EINVAL comes from the call itself: this kernel was built without names.
    assert probed[0]["name memory"] in ("ok", errno.EINVAL)


def test_every_probe_is_expected_to_succeed_or_to_fail(probed: tuple[dict[str, Any], int]) -> None:
    assert set(probed[0]) == {*DENIED, *ALLOWED, "memory over the budget", "name memory"}


def test_the_kernel_shows_the_filter_and_no_new_privileges(probed: tuple[dict[str, Any], int]) -> None:
    status = Path(f"/proc/{probed[1]}/status").read_text()
    assert "\nNoNewPrivs:\t1\n" in status
    assert "\nSeccomp:\t2\n" in status


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("Max core file size", 0),
        ("Max file size", 0),
        ("Max processes", sandbox.MAX_PROCESSES),
        ("Max open files", 4),
    ],
)
def test_limits_are_hard(probed: tuple[dict[str, Any], int], limit: str, value: int) -> None:
    lines = Path(f"/proc/{probed[1]}/limits").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(limit)]
    assert line.removeprefix(limit).split()[:2] == [str(value)] * 2


@pytest.mark.skipif(sandbox.landlock_abi() == 0, reason="this kernel has no Landlock")
def test_landlock_alone_denies_files() -> None:
    child = Child("landlock")
    try:
        report = child.report()
    finally:
        child.close()
    assert report["open"] == report["create"] == report["listdir"] == errno.EACCES
    if sandbox.landlock_abi() >= 6:
        assert report["kill parent"] == errno.EPERM
    assert report["socket"] == "ok"  # without the filter, which shows that it was Landlock that denied


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the 32-bit entry is x86's")
def test_a_call_by_another_architectures_numbers_kills() -> None:
    child = Child("foreign")
    try:
        assert child.socket.recv(1) == b""
        # SIGSEGV where the kernel was built without 32-bit emulation
        assert child.process.wait(10) in (-signal.SIGSYS, -signal.SIGSEGV)
    finally:
        child.close()


# The machine that runs the tests has one architecture; the filters of both are run by this interpreter.

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06


def decide(program: bytes, data: bytes) -> int:
    """What the kernel would do with a call whose ``struct seccomp_data`` is ``data``."""
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == EQUAL:
            at += if_true if accumulator == value else if_false
        elif code == RETURN:
            return int(value)
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def call(architecture: int, number: int, first: int = 0, second: int = 0) -> bytes:
    return struct.pack("<IIQ6Q", number, architecture, 0, first, second, 0, 0, 0, 0)


@pytest.mark.parametrize("machine", sandbox.ARCHITECTURES)
def test_the_filter_allows_its_table_and_nothing_else(machine: str) -> None:
    architecture = sandbox.ARCHITECTURES[machine]
    program = sandbox.filter_program(architecture)
    allowed = {n for n in range(1024) if decide(program, call(architecture.audit, n)) == sandbox.ALLOW}
    refused = {n for n in range(1024) if decide(program, call(architecture.audit, n)) == sandbox.EPERM}
    assert allowed == set(architecture.allowed.values())
    assert refused == set(range(1024)) - allowed


@pytest.mark.parametrize("machine", sandbox.ARCHITECTURES)
def test_the_filter_allows_prctl_only_to_name_memory(machine: str) -> None:
    architecture = sandbox.ARCHITECTURES[machine]
    program = sandbox.filter_program(architecture)
    name_memory = call(architecture.audit, architecture.prctl, sandbox.PR_SET_VMA)
    assert decide(program, name_memory) == sandbox.ALLOW
    for option in (0, 1, 4, 22, 38, 59):
        assert decide(program, call(architecture.audit, architecture.prctl, option)) == sandbox.EPERM


@pytest.mark.parametrize("machine", sandbox.ARCHITECTURES)
def test_the_filter_allows_a_plain_fork_and_no_other_child(machine: str) -> None:
    architecture = sandbox.ARCHITECTURES[machine]
    program = sandbox.filter_program(architecture)

    def clone(flags: int) -> int:
        return decide(program, call(architecture.audit, architecture.clone, flags))

    for flags in sandbox.FORK_FLAGS:
        assert clone(flags) == sandbox.ALLOW
        for bit in range(32):  # a flag more or less is another call
            assert clone(flags ^ 1 << bit) == sandbox.EPERM


@pytest.mark.parametrize("machine", sandbox.ARCHITECTURES)
def test_the_filter_allows_a_process_to_limit_its_own_memory_and_nothing_else(machine: str) -> None:
    architecture = sandbox.ARCHITECTURES[machine]
    program = sandbox.filter_program(architecture)

    def prlimit(pid: int, what: int) -> int:
        return decide(program, call(architecture.audit, architecture.prlimit64, pid, what))

    assert prlimit(0, resource.RLIMIT_DATA) == sandbox.ALLOW
    others = {*range(32), -1 & 0xFFFFFFFF} - {resource.RLIMIT_DATA}
    assert {prlimit(0, what) for what in others} == {sandbox.EPERM}
    assert {prlimit(pid, resource.RLIMIT_DATA) for pid in (1, 4711)} == {sandbox.EPERM}


@pytest.mark.parametrize("machine", sandbox.ARCHITECTURES)
def test_the_filter_kills_calls_of_other_architectures(machine: str) -> None:
    architecture = sandbox.ARCHITECTURES[machine]
    program = sandbox.filter_program(architecture)
    for other in (0x40000003, *(a.audit for a in sandbox.ARCHITECTURES.values() if a is not architecture)):
        assert decide(program, call(other, architecture.allowed["read"])) == sandbox.KILL_PROCESS


def test_x32_numbers_are_refused() -> None:
    program = sandbox.filter_program(sandbox.X86_64)
    assert (
        decide(program, call(sandbox.X86_64.audit, 0x40000000 | sandbox.X86_64.allowed["read"]))
        == sandbox.EPERM
    )
