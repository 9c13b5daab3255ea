"""What the control groups of this process leave it: a container's memory and share of the processors.

The machine's own numbers mean nothing in a container that may have a part of them. Limits are in files, one
for each group on the way from the root of a hierarchy down to the process's own; the lowest is in force. They
have other names in the hierarchy of version 2 than in those of version 1, which many machines still have, or
have beside it. A container mostly sees its own group as the root of what is mounted, under whatever name it
has outside: so where the own path is not below what is mounted, the mount itself is taken for it.

The formats are those of cgroups(7), proc_pid_mountinfo(5), and Documentation/admin-guide/cgroup-v2.rst and
cgroup-v1/ of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
_NO_BYTES = 1 << 60
_UNIFIED = ""
"""The controller under which /proc/self/cgroup lists the hierarchy of version 2."""


def memory_bytes(root: Path = ROOT) -> int | None:
    """Memory that this process and those beside it may use together; None if nothing limits it."""
    texts = [*_read(root, _UNIFIED, "memory.max"), *_read(root, "memory", "memory.limit_in_bytes")]
    return min(filter(None, map(parse_bytes, texts)), default=None)


def processors(root: Path = ROOT) -> float | None:
    """Seconds of a processor that they may use together in each second; None if nothing limits it."""
    texts = [*_read(root, _UNIFIED, "cpu.max"), *_read(root, "cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us")]
    return min(filter(None, map(parse_quota, texts)), default=None)


def parse_bytes(text: str) -> int | None:
    """A limit of bytes; None where it is ``max``, or larger than any (version 1 has no word for it)."""
    if text.strip() == "max" or int(text) >= _NO_BYTES:
        return None
    return int(text)


def parse_quota(text: str) -> float | None:
    """``QUOTA PERIOD`` in microseconds as a number of processors; None for the quotas ``max`` and -1."""
    quota, period = text.split()
    return None if quota == "max" or int(quota) <= 0 else int(quota) / int(period)


def own_paths(cgroup: str) -> dict[str, PurePosixPath]:
    """The group of a process in the hierarchy of each controller, of the text of /proc/self/cgroup."""
    paths = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), PurePosixPath(path)))
    return paths


def mounts(mountinfo: str) -> dict[str, tuple[PurePosixPath, PurePosixPath]]:
    """For each controller what of its hierarchy is mounted and where, of the text of /proc/self/mountinfo."""
    found: dict[str, tuple[PurePosixPath, PurePosixPath]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            controllers = [_UNIFIED] if kind == "cgroup2" else options.split(",")
            top, place = before.split(" ")[3:5]
            for controller in controllers:  # mounts of a part of it, for others to see, come later
                found.setdefault(controller, (PurePosixPath(top), PurePosixPath(place)))
    return found


def groups(own: PurePosixPath, top: PurePosixPath, place: PurePosixPath) -> Iterator[PurePosixPath]:
    """The directories of a process's group and of those above it, as far as they are mounted.

    ``own`` is the group's path, ``top`` the path of the group that is mounted at ``place``.
    """
    visible = own.is_relative_to(top) and ".." not in own.parts
    below = own.relative_to(top) if visible else PurePosixPath()
    yield from (place / part for part in (below, *below.parents))


def _read(root: Path, controller: str, *names: str) -> Iterator[str]:
    """What the files of these names have in them, in each group that has them (the root of all has not)."""
    try:
        own = own_paths((root / "proc/self/cgroup").read_text()).get(controller)
        mounted = mounts((root / "proc/self/mountinfo").read_text()).get(controller)
    except FileNotFoundError:  # a kernel without control groups
        return
    if own is None or mounted is None:
        return
    for group in groups(own, *mounted):
        try:
            yield " ".join((root / group.relative_to("/") / name).read_text() for name in names)
        except (FileNotFoundError, PermissionError):  # nothing is limited there, or nobody shall know
            continue
