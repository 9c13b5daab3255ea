"""Control groups made by tests, as a container has one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine import cgroup

MEMORY = ("memory.limit_in_bytes", "memory.max")
PROCESSES = ("pids.max",)
_SECONDS = 10


class Group:
    """A group in which nothing but its limits is set."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def before(self) -> Sequence[str]:
        """The words before a command that start it in the group."""
        return ["sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh"]

    def enter(self) -> None:
        """Move this process there."""
        (self.path / "cgroup.procs").write_text("0")


@contextmanager
def limited(controller: str, names: Sequence[str], value: int) -> Iterator[Group]:
    """A group below this process's own with a limit, which is in the first file of the ``names`` that there is.

    Skips the test where none can be made.
    """
    mounted = cgroup.mounts(Path("/proc/self/mountinfo").read_text())
    own = cgroup.own_paths(Path("/proc/self/cgroup").read_text())
    hierarchy = controller if controller in mounted else ""
    if hierarchy not in mounted or hierarchy not in own:
        pytest.skip(f"no control groups of {controller} are mounted")
    above = Path(next(cgroup.groups(own[hierarchy], *mounted[hierarchy])))
    group = Group(above / f"mcp-v8-test-{os.getpid()}-{controller}")
    try:
        group.path.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        name = next((name for name in names if (group.path / name).exists()), None)
        if name is None:
            pytest.skip(f"{group.path} has no limit of {controller}")
        (group.path / name).write_text(str(value))
        yield group
    finally:
        _remove(group.path)


def _remove(path: Path) -> None:
    """It is busy until the last process in it has been reaped."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            path.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
