"""Landlock: no file, no TCP connection, and no signal or abstract socket to the outside, whatever the calls.

See linux/landlock.h; its system calls have the same numbers on every architecture.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from engine.isolate.process import syscall

_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights to files the first versions know; 16 from version 5 on."""


def abi() -> int:
    """The kernel's version of Landlock, 0 where it has none or keeps it off."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def deny_all(version: int) -> None:
    """Handle every right that this version knows, and grant none. Raises OSError."""
    files = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    tcp = 0b11 if version >= 4 else 0  # binding and connecting
    scopes = 0b11 if version >= 6 else 0  # abstract sockets and signals stay within the sandbox
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("<QQQ", files, tcp, scopes)[:size]
    ruleset = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
