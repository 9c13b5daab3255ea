"""The sandbox as a whole: which layers there are on this machine, and how a worker enters them.

Layers, each of which would be enough alone for most of what it forbids: resource limits, a user that owns
nothing, no capabilities, no_new_privs, Landlock (where the kernel has it), forks only with the server's
permission, and a filter that allows the system calls of a running V8 with its compilers and fails all others.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from engine.errors import PlatformRefused
from engine.isolate import process
from engine.isolate.sandbox import forks, identity, landlock, seccomp
from engine.isolate.sandbox.syscalls import this_architecture

Mode = Literal["auto", "strict", "off"]
"""``auto`` demands the filter and takes what else there is, ``strict`` demands every layer, ``off`` leaves
out filter, Landlock and permissions for forks."""

MAX_PROCESSES: Final = 4_096
"""Of a user who is not the worker's own, all together."""
MAX_OWN_PROCESSES: Final = 16
"""The worker and a copy that makes a checkpoint, and those of other servers' workers with the same user."""
MAX_DESCRIPTORS: Final = 4
"""The standard three and the socket."""
_ADDRESS_ROOM: Final = 64 << 30
"""Address space that a worker may reserve beside what V8 has reserved for everything, in bytes."""


class Layers(Struct, frozen=True, kw_only=True):
    """What confines every worker; resource limits and no_new_privs always do."""

    mode: Mode
    seccomp: bool
    """Whether system calls are filtered."""
    landlock_abi: int
    """Version of Landlock; 0: none."""
    forks: Literal["asked", "counted"]
    """``asked``: the kernel asks the server before each fork; ``counted``: RLIMIT_NPROC bounds them."""
    user: identity.Identity

    def describe(self) -> str:
        """For people, in a line."""
        if self.mode == "off":
            return "off: code that breaks out of V8 can do what its user can"
        landlock = f"Landlock {self.landlock_abi}" if self.landlock_abi else "no Landlock"
        asked = "forks permitted one by one" if self.forks == "asked" else "forks bounded by number"
        users = {
            "own": "a user for each worker",
            "server": "the server's user",
            "root": "root without rights",
        }
        return f"{self.mode}: system calls filtered, {landlock}, {asked}, {users[self.user]}"


def find(mode: Mode) -> Layers:
    """What this machine has, as far as ``mode`` wants it. To be called in a process that ends after that.

    Raises PlatformRefused where the machine type is unknown.
    """
    architecture = this_architecture()
    user = identity.find()
    if mode == "off":
        return Layers(mode=mode, seccomp=False, landlock_abi=0, forks="counted", user=user)
    process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
    try:
        os.close(forks.listen(architecture, seccomp.fork_program(architecture)))
        asked = True
    except OSError:
        asked = False
    return Layers(
        mode=mode,
        seccomp=True,
        landlock_abi=landlock.abi(),
        forks="asked" if asked else "counted",
        user=user,
    )


def check(layers: Layers) -> None:
    """Raises PlatformRefused if its mode demands more than there is."""
    if layers.mode != "strict":
        return
    missing = []
    if layers.landlock_abi == 0:
        missing.append("has no Landlock, or keeps it off (Linux 5.13 or later; see its lsm= option)")
    if layers.forks == "counted":
        missing.append("does not let the server permit each fork (Linux 5.5 or later)")
    if layers.user == "root":
        missing.append(
            "does not let root run workers as other users (start the server as a user, not as root)"
        )
    if missing:
        raise PlatformRefused(
            f"--sandbox strict demands every layer, but this kernel or container {', and '.join(missing)}"
        )


class Sandbox:
    """The way into these layers. Made before the fork, so that workers share what it prepares."""

    def __init__(self, layers: Layers, *, data_limit: int, stack_limit: int) -> None:
        """``data_limit`` is the private writable memory that a worker may ever have: what it is forked with
        and its budget. It can lower that for a while. Both in bytes.
        """
        self.layers = layers
        self._architecture = this_architecture()
        self._worker_program = seccomp.worker_program(self._architecture)
        self._fork_program = seccomp.fork_program(self._architecture)
        self._first_user = int.from_bytes(os.urandom(2), "little")  # not what another server has
        own = layers.user == "own"
        self._limits = {
            resource.RLIMIT_DATA: data_limit,
            resource.RLIMIT_AS: process.memory_bytes("VmSize") + data_limit + _ADDRESS_ROOM,
            resource.RLIMIT_STACK: stack_limit,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_FSIZE: 0,
            resource.RLIMIT_NPROC: MAX_OWN_PROCESSES if own else MAX_PROCESSES,
            resource.RLIMIT_NOFILE: MAX_DESCRIPTORS,
        }

    def enter(self, worker: int, parent: int, hand_over: Callable[[int], object]) -> None:
        """Give up all rights that worker ``worker`` does not need, for good, and end with ``parent``.

        For a process with a single thread that has opened and imported everything it will ever need.
        ``hand_over`` is called with the listener for forks, if there is one, and sends it away and closes it.
        Raises OSError where the kernel refuses a layer.
        """
        layers, architecture = self.layers, self._architecture
        if layers.user == "own":
            identity.become(identity.user(self._first_user + worker))
        process.die_with(parent)  # the kernel forgets that with a change of user
        process.prctl(process.PR_SET_NO_NEW_PRIVS, 1)
        identity.drop_capabilities(architecture)
        if layers.landlock_abi:
            landlock.deny_all(layers.landlock_abi)
        if layers.forks == "asked":
            hand_over(forks.listen(architecture, self._fork_program))
        # After that: a user may have as many descriptors on their way as a sender may have open (unix(7)).
        for what, value in self._limits.items():
            _, hard = resource.getrlimit(what)
            ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(what, (ceiling, ceiling))
        if layers.seccomp:
            seccomp.filter_calls(architecture, self._worker_program)
