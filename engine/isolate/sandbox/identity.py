"""Which user a worker is: where the server is root, one of its own that owns nothing."""

from __future__ import annotations

import os
import struct
from typing import Final, Literal

from engine.isolate import process
from engine.isolate.sandbox.syscalls import Architecture

Identity = Literal["own", "server", "root"]
"""``own``: a user for each worker. ``server``: the user of the server, who is not root. ``root``, without its
rights: where root may not become somebody else."""

USERS: Final = range(61_184, 65_520)
"""What systemd keeps for users that exist only while a service runs: nobody else has these numbers."""
_NEEDED: Final = 1 << 5 | 1 << 6 | 1 << 7  # CAP_KILL, to end such workers, CAP_SETGID, CAP_SETUID


def user(number: int) -> int:
    """One of them, and its group."""
    return USERS[number % len(USERS)]


def find() -> Identity:
    """What is possible here. Changes the user of this process, which is to end after that."""
    if os.geteuid() != 0:
        return "server"
    if int(process.status("CapEff"), 16) & _NEEDED != _NEEDED:
        return "root"
    try:
        become(USERS[-1])  # where a container has this one, it has those before it
    except OSError:  # a container's root, who has no other users
        return "root"
    return "own"


def become(number: int) -> None:
    """Be that user, in its group alone, for good. Raises OSError."""
    os.setgroups(())
    os.setresgid(number, number, number)
    os.setresuid(number, number, number)


def drop_capabilities(architecture: Architecture) -> None:
    """Have no right that other users have not: limits are limits also for a root that stays."""
    version_3, this_process = 0x20080522, 0  # linux/capability.h
    process.syscall(architecture.capset, struct.pack("@Ii", version_3, this_process), bytes(2 * 3 * 4))
