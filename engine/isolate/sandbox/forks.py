"""Forks of a worker, allowed one by one: the kernel asks the server before each (seccomp_unotify(2)).

A worker forks only to make a checkpoint, when the server has asked for that. So its filter leaves each fork
to a *listener*, a descriptor that the worker hands to the server before anything else. What forks without
having been asked, the worker or its copy, never comes out of that call: nobody answers it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import struct
from typing import Final

from engine.isolate.sandbox import seccomp
from engine.isolate.sandbox.syscalls import Architecture

_NEW_LISTENER: Final = 1 << 3  # SECCOMP_FILTER_FLAG_NEW_LISTENER
_CONTINUE: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE

# struct seccomp_notif: id, pid, flags, and 64 bytes of the call; struct seccomp_notif_resp: id, value,
# error, flags (linux/seccomp.h).
_NOTIFICATION: Final = struct.Struct("@QII64x")
_RESPONSE: Final = struct.Struct("@QqiI")
_RECEIVE: Final = 0xC0002100 | _NOTIFICATION.size << 16  # SECCOMP_IOCTL_NOTIF_RECV
_SEND: Final = 0xC0002101 | _RESPONSE.size << 16  # SECCOMP_IOCTL_NOTIF_SEND


def listen(architecture: Architecture, program: bytes) -> int:
    """Let this process's forks wait for permission; the listener. ``program`` is ``seccomp.fork_program``.

    Raises OSError where the kernel cannot, or whoever started this process listens already.
    """
    return seccomp.install(architecture, program, _NEW_LISTENER)


def answer(listener: int, pid: int) -> bool:
    """Answer one call that waits: allow the fork if it is of process ``pid``, else refuse it.

    To be called when the listener is readable. Whether it was allowed.
    """
    notification = bytearray(_NOTIFICATION.size)
    with contextlib.suppress(FileNotFoundError):  # whoever called is dead
        fcntl.ioctl(listener, _RECEIVE, notification)
        call, caller, _ = _NOTIFICATION.unpack(notification)
        allowed: bool = caller == pid
        response = (call, 0, 0, _CONTINUE) if allowed else (call, 0, -errno.EPERM, 0)
        fcntl.ioctl(listener, _SEND, _RESPONSE.pack(*response))
        return allowed
    return False
