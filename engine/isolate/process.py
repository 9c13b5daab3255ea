"""Small facts of Linux processes: who dies with whom, which descriptors and signals a child keeps."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Final, NoReturn

from engine.errors import PlatformRefused

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38

MAX_DESCRIPTORS: Final = 64
"""What the zygote may have open: few enough to close them all one by one after a fork."""

_PIDS: Final = 1 << 22
"""PID_MAX_LIMIT of linux/threads.h."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_libc.syscall.restype = ctypes.c_long


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument; raises OSError."""
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise _last_error(f"prctl {option}")


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """syscall(2): integers are passed as words, bytes by address, None as null; raises OSError."""
    words = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise _last_error(f"system call {number}")
    return result


def address_of(data: ctypes.Array[ctypes.c_char]) -> int:
    """Where ``data`` lies; it must be kept alive while the address is in use."""
    return ctypes.addressof(data)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    ``parent`` is the pid of the process that started this one. If it ended before the kernel knew,
    this process ends here.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        kill_self()


def outlive_parent() -> None:
    """Undo ``die_with``: from now on this process sees for itself that its parent has ended."""
    prctl(PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, to reap them."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def kill_group(leader: int) -> None:
    """Kill what is left of the group of a process that has ended and was not reaped: until then its number,
    and so the group's, is nobody else's.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def open_copy(pid: int, original: int) -> int | None:
    """A pidfd of process ``pid``, if it is there. Raises ChildProcessError if it was not forked by
    ``original``, which leads a group that nobody in it can leave; OSError if there are no descriptors left.
    """
    if not 0 < pid < _PIDS or pid == original:
        raise ChildProcessError(f"{pid} is no copy of {original}")
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as failed:
        if failed.errno in (errno.EINVAL, errno.ENOENT):  # a thread
            raise ChildProcessError(f"{pid} is no process") from failed
        raise
    try:
        group = os.getpgid(pid)  # not from /proc, which may hide it
    except ProcessLookupError:  # it has ended meanwhile
        return pidfd
    if group != original:
        os.close(pidfd)
        raise ChildProcessError(f"process {pid} is no copy of {original}")
    return pidfd


def may_have_children(pid: int) -> bool:
    """Whether a process with one thread has children; also where the kernel does not tell."""
    try:
        return bool(Path(f"/proc/{pid}/task/{pid}/children").read_bytes())
    except OSError:  # it has ended, /proc hides it, or is of a kernel without CONFIG_PROC_CHILDREN
        return True


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """To a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def kill_self() -> NoReturn:
    """End as if killed, with nothing of Python running any more."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable: SIGKILL cannot be blocked")


def keep_only(keep: socket.socket) -> socket.socket:
    """Move ``keep`` to descriptor 3 and close all others but 0, and 1, which becomes what 0 is.

    Returns the socket at its new place. Expects 0 to be /dev/null and no descriptor at or above
    ``MAX_DESCRIPTORS``.
    """
    descriptor = keep.detach()
    if descriptor != 3:
        os.dup2(descriptor, 3, inheritable=False)
    os.closerange(4, MAX_DESCRIPTORS)
    os.dup2(0, 1)
    os.close(2)
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=3)


def ignore_termination() -> None:
    """Let a terminal's Ctrl-C, a hang-up or a service manager's SIGTERM to the whole group pass.

    The server drains on such a signal and needs its workers meanwhile; they end when it closes
    their sockets or dies.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def prefer_for_oom_kill() -> None:
    """When the machine or container runs out of memory, have the kernel end this process first.

    Where /proc cannot be written the kernel chooses by itself, which is no reason not to work.
    """
    with contextlib.suppress(OSError):
        # not a Path: what a worker does not run, it need not copy from the zygote
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"1000")
        finally:
            os.close(descriptor)


def allow_stack(size: int) -> None:
    """See to it that the stack may grow to ``size`` bytes. Raises PlatformRefused.

    The kernel looks at the limit whenever the stack grows, so it counts for a running process, too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < size:
        if hard != resource.RLIM_INFINITY and hard < size:
            raise PlatformRefused(
                f"a process may have {hard >> 10} KiB of stack; {size >> 10} are needed (see ulimit -Hs)"
            )
        resource.setrlimit(resource.RLIMIT_STACK, (size, hard))


def memory_bytes(field: str) -> int:
    """A size of this process as the kernel counts it, in bytes: ``VmData`` is private writable memory, which
    RLIMIT_DATA bounds, ``VmSize`` the address space, which RLIMIT_AS bounds. Raises OSError if there is none.
    """
    return int(status(field).removesuffix("kB")) << 10


def status(field: str) -> str:
    """A line of /proc/self/status, without its name. Raises OSError if there is none."""
    for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.strip()
    raise OSError(f"/proc/self/status has no line {field}")


def _last_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
