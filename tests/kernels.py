"""Other kernels than the one that the tests run on: without calls that this one knows."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

from engine.isolate import process
from engine.isolate.sandbox.syscalls import this_architecture

LANDLOCK = (444, 445, 446)
ENOSYS = 0x0005_0026  # SECCOMP_RET_ERRNO with the error of a kernel that does not know a call
EBUSY = 0x0005_0010
LOAD, EQUAL, SET, RETURN = 0x20, 0x15, 0x45, 0x06


def refuse(numbers: Sequence[int], action: int, *, where: tuple[int, int] | None = None) -> None:
    """Let the kernel answer these calls so from now on; ``where``: if that argument has one of these bits."""
    number_at, arguments_at = 0, 16
    program = [(LOAD, 0, 0, number_at)]
    program += [(EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    program += [(RETURN, 0, 0, 0x7FFF0000)]
    if where is not None:
        argument, bits = where
        program += [(LOAD, 0, 0, arguments_at + 8 * argument), (SET, 1, 0, bits), (RETURN, 0, 0, 0x7FFF0000)]
    program += [(RETURN, 0, 0, action)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *i) for i in program))
    process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
    header = struct.pack("@HP", len(program), process.address_of(code))
    process.syscall(this_architecture().seccomp, 1, 0, header)
