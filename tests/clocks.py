"""The wall clock of one process, set while it runs: as that of a machine whose clock jumps.

Programs read clocks by code that the kernel puts into each of them (vdso(7)), those in Go too, which ask no C
library. In one process that code is replaced by some that adds a number of seconds to what the wall clock says;
other clocks go on as they do, and other processes have theirs.
"""

from __future__ import annotations

import os
import platform
import signal
import struct
import subprocess
import time
from pathlib import Path

_CODE = bytes.fromhex(
    # clock_gettime(edi, rsi):
    "b8e40000000f05"  # mov eax, 228; syscall
    "85c07513"  # test eax, eax; jnz 1f
    "85ff7405"  # test edi, edi (CLOCK_REALTIME); jz 2f
    "83ff05750a"  # cmp edi, 5 (CLOCK_REALTIME_COARSE); jne 1f
    "488b0d3d00000048010e"  # 2: mov rcx, [seconds]; add [rsi], rcx
    "c3"  # 1: ret
    # gettimeofday(rdi, rsi):
    "b8600000000f05"  # mov eax, 96; syscall
    "85c0750f4885ff740a"  # test eax, eax; jnz 1f; test rdi, rdi; jz 1f
    "488b0d2200000048010f"  # mov rcx, [seconds]; add [rdi], rcx
    "c3"  # 1: ret
    # time(rdi):
    "b8c900000031d2574889d70f055f"  # mov eax, 201; xor edx, edx; push rdi; mov rdi, rdx; syscall; pop rdi
    "48030509000000"  # add rax, [seconds]
    "4885ff7403488907"  # test rdi, rdi; jz 1f; mov [rdi], rax
    "c3"  # 1: ret
)
_STARTS = {b"__vdso_clock_gettime": 0, b"__vdso_gettimeofday": 0x1F, b"__vdso_time": 0x3A}
"""Of the functions in that."""
_SECONDS = struct.Struct("<q")
"""Comes after the code."""
_JUMP = struct.Struct("<Bi")
_DYNSYM = 11
"""Of the sections of an ELF file, the type of that of the symbols."""
_STOP_SECONDS = 5.0


class NoClock(Exception):
    """The clock of a process cannot be set here; the message says why."""


class Clock:
    """Of one process, which it stops for a moment the first time."""

    def __init__(self, pid: int) -> None:
        """Changes nothing that the process sees yet. Raises NoClock."""
        self._pid = pid
        if platform.machine() != "x86_64":
            raise NoClock(f"the code that reads clocks is not known for {platform.machine()}")
        try:
            start, image = self._vdso()
            self._at = start + len(image.rstrip(b"\0")) + 15 & ~15
            if self._at + len(_CODE) + _SECONDS.size > start + len(image):
                raise NoClock("the kernel leaves no room beside its code that reads clocks")
            entries = {
                start + at: self._at + _STARTS[name] for name, at in _functions(image) if name in _STARTS
            }
            self._write(self._at, _CODE + _SECONDS.pack(0))
            self._divert(entries)
        except OSError as failed:
            raise NoClock(f"the memory of another process cannot be written here: {failed}") from failed

    def set(self, seconds: int) -> None:
        """So far ahead of what it was at first; less than 0: behind."""
        self._write(self._at + len(_CODE), _SECONDS.pack(seconds))

    def _vdso(self) -> tuple[int, bytes]:
        """Where it is, and what."""
        for line in Path(f"/proc/{self._pid}/maps").read_text().splitlines():
            if line.endswith("[vdso]"):
                start, end = (int(number, 16) for number in line.split()[0].split("-"))
                with Path(f"/proc/{self._pid}/mem").open("rb", buffering=0) as memory:
                    return start, os.pread(memory.fileno(), end - start, start)
        raise NoClock("the kernel does not have the code that reads clocks in its processes")

    def _write(self, at: int, data: bytes) -> None:
        with Path(f"/proc/{self._pid}/mem").open("rb+", buffering=0) as memory:
            os.pwrite(memory.fileno(), data, at)

    def _divert(self, entries: dict[int, int]) -> None:
        """Let functions begin with a jump to those others, when no thread is at such a place."""
        jumped = {at + n for at in entries for n in range(1, _JUMP.size)}
        end = time.monotonic() + _STOP_SECONDS
        while True:
            os.kill(self._pid, signal.SIGSTOP)
            try:
                while (places := self._places()) is None:
                    if time.monotonic() > end:
                        raise NoClock("the process does not stop")
                if jumped.isdisjoint(places):
                    for at, to in entries.items():
                        self._write(at, _JUMP.pack(0xE9, to - at - _JUMP.size))
                    return
            finally:
                os.kill(self._pid, signal.SIGCONT)

    def _places(self) -> set[int] | None:
        """Where the threads go on; None if some have not stopped yet."""
        found = set()
        for thread in Path(f"/proc/{self._pid}/task").iterdir():
            state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
            told = (thread / "syscall").read_text().split()
            if state != "T" or told == ["running"]:
                return None
            found.add(int(told[-1], 16))
        return found


def why_not() -> str | None:
    """Why clocks of other processes cannot be set here; None: they can."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.read(1)  # by then it has what the kernel puts into it
        try:
            Clock(process.pid)
        except NoClock as failed:
            return str(failed)
        finally:
            process.kill()
    return None


def _functions(image: bytes) -> list[tuple[bytes, int]]:
    """Names of an ELF file of 64 bits, and where they are."""
    (sections,) = struct.unpack_from("<Q", image, 0x28)
    size, count = struct.unpack_from("<HH", image, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, sections + n * size) for n in range(count)]
    (symbols,) = (header for header in headers if header[1] == _DYNSYM)
    names = headers[symbols[6]][4]
    found = []
    for at in range(symbols[4], symbols[4] + symbols[5], symbols[9]):
        name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", image, at)
        start = names + name
        found.append((image[start : image.index(b"\0", start)], value))
    return found
