"""Put a function of ours in the place of one of the V8 library's own, for the library's own callers.

The library's symbols are public, so its internal calls go through its import table (ELF: the GOT),
and ``dlopen`` has bound all of them by the time it returns. Whoever holds the function's address in
the library's data is such an import slot; writing another address there is what a preloaded library
does to any program.
"""

from __future__ import annotations

import atexit
import ctypes as c
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.errors import PlatformRefused

_READ, _WRITE = 1, 2
_libc = c.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (c.c_void_p, c.c_size_t, c.c_int)


class _Slot(NamedTuple):
    """An import slot, and what the page that it lies in is protected with."""

    address: int
    protection: int


def interpose(library: Path, function: int, replacement: int) -> None:
    """Let all calls of ``function`` inside ``library`` go to ``replacement`` (addresses).

    ``function`` is the library's own. Raises PlatformRefused unless there is exactly one import slot
    to change.
    """
    slots = _slots(library, function)
    if len(slots) != 1:
        raise PlatformRefused(f"V8's library has {len(slots)} import slots for a function that needs one")
    _write(slots, replacement)


def interpose_import(library: Path, function: int, replacement: int) -> None:
    """The same for another library's ``function``, of which there may be any number of slots.

    Undone when Python ends: the library calls such functions even later.
    """
    slots = _slots(library, function)
    _write(slots, replacement)
    atexit.register(_write, slots, function)


def _write(slots: list[_Slot], address: int) -> None:
    for slot in slots:
        page = slot.address & ~(mmap.PAGESIZE - 1)
        _protect(page, slot.protection | _WRITE)
        c.c_uint64.from_address(slot.address).value = address
        _protect(page, slot.protection)


def _slots(library: Path, function: int) -> list[_Slot]:
    """Aligned places in the library's relocated data that hold the address of ``function``."""
    wanted = function.to_bytes(8, "little")
    found = []
    for start, end, protection in _relocated(library):
        data = c.string_at(start, end - start)
        at = data.find(wanted)
        while at >= 0:
            if at % 8 == 0:
                found.append(_Slot(start + at, protection))
            at = data.find(wanted, at + 1)
    return found


def _relocated(library: Path) -> Iterator[tuple[int, int, int]]:
    """Start, end and protection of the library's data that the loader wrote to: what follows its code."""
    code_seen = False
    with Path("/proc/self/maps").open() as maps:
        mappings = [line.split() for line in maps if line.rstrip().endswith(library.name)]
    for addresses, permissions, *_ in mappings:
        start, end = (int(part, 16) for part in addresses.split("-"))
        if "x" in permissions:
            code_seen = True
        elif code_seen and "r" in permissions:
            yield start, end, _READ | (_WRITE if "w" in permissions else 0)


def _protect(page: int, protection: int) -> None:
    if _libc.mprotect(page, mmap.PAGESIZE, protection):
        raise OSError(c.get_errno(), "the kernel does not let this process change its own import table")
