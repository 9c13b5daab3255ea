"""Put a function of ours in the place of one of the V8 library's own, for the library's own callers.

The library's symbols are public, so its internal calls go through its import table (ELF: the GOT),
and ``dlopen`` has bound all of them by the time it returns. Whoever holds the function's address in
the library's data is such an import slot; writing another address there is what a preloaded library
does to any program.
"""

from __future__ import annotations

import ctypes as c
import mmap
from pathlib import Path

from engine.errors import PlatformRefused

_READ, _WRITE = 1, 2
_libc = c.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (c.c_void_p, c.c_size_t, c.c_int)


def interpose(library: Path, function: int, replacement: int) -> None:
    """Let all calls of ``function`` inside ``library`` go to ``replacement`` (addresses).

    Raises PlatformRefused unless there is exactly one import slot to change.
    """
    slots = _slots(library, function)
    if len(slots) != 1:
        raise PlatformRefused(f"V8's library has {len(slots)} import slots for a function that needs one")
    page = slots[0] & ~(mmap.PAGESIZE - 1)
    _protect(page, _READ | _WRITE)
    c.c_uint64.from_address(slots[0]).value = replacement
    _protect(page, _READ)


def _slots(library: Path, function: int) -> list[int]:
    """Aligned places in the library's data that hold the address of ``function``."""
    wanted = function.to_bytes(8, "little")
    found = []
    with Path("/proc/self/maps").open() as maps:
        mappings = [line.split() for line in maps if line.rstrip().endswith(library.name)]
    for addresses, permissions, *_ in mappings:
        start, end = (int(part, 16) for part in addresses.split("-"))
        if permissions.startswith("r") and "x" not in permissions:
            data = c.string_at(start, end - start)
            at = data.find(wanted)
            while at >= 0:
                if at % 8 == 0:
                    found.append(start + at)
                at = data.find(wanted, at + 1)
    return found


def _protect(page: int, protection: int) -> None:
    if _libc.mprotect(page, mmap.PAGESIZE, protection):
        raise OSError(c.get_errno(), "the kernel does not let this process change its own import table")
