"""What a container leaves its processes, as the files of the kernel tell it."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import control_groups
import pytest

from cli import environment
from engine import cgroup

MIB = 1 << 20
NONE = "9223372036854771712\n"
"""What version 1 has for no limit."""


def tree(root: Path, own: str, mountinfo: str, files: dict[str, str]) -> Path:
    """A file system in which a process is in the groups ``own`` and sees those that are mounted."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    (root / "proc/self/mountinfo").write_text(mountinfo)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def unified(top: str = "/", place: str = "/sys/fs/cgroup") -> str:
    return f"29 25 0:26 {top} {place} rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def separate(*controllers: str, top: str = "/") -> str:
    return "".join(
        f"{number} 95 0:29 {top} /sys/fs/cgroup/{each} ro,nosuid - cgroup cgroup rw,{each}\n"
        for number, each in enumerate(controllers, 96)
    )


def left(root: Path) -> tuple[int | None, float | None]:
    memory = cgroup.memory_bytes(root)
    return None if memory is None else memory // MIB, cgroup.processors(root)


def test_in_version_2_the_lowest_limit_on_the_way_down_is_in_force(tmp_path: Path) -> None:
    files = {
        "a/memory.max": f"{512 * MIB}\n",
        "a/cpu.max": "150000 100000\n",
        "a/b/memory.max": "max\n",
        "a/b/cpu.max": "max 100000\n",
        "a/b/c/memory.max": f"{600 * MIB}\n",
        "a/b/c/cpu.max": "100000 50000\n",
        "other/memory.max": "1\n",
    }
    assert left(tree(tmp_path, "0::/a/b/c\n", unified(), files)) == (512, 1.5)


def test_in_a_namespace_of_its_own_a_container_is_the_root(tmp_path: Path) -> None:
    files = {"memory.max": f"{300 * MIB}\n", "cpu.max": "50000 100000\n"}
    assert left(tree(tmp_path, "0::/\n", unified(), files)) == (300, 0.5)


@pytest.mark.parametrize("own", ["/docker/0123", "/../../docker/0123"])
def test_where_the_path_is_not_mounted_the_mount_is_the_own_group(tmp_path: Path, own: str) -> None:
    files = {"memory.max": f"{300 * MIB}\n", "cpu.max": "max 100000\n"}
    assert left(tree(tmp_path, f"0::{own}\n", unified("/docker/4567"), files)) == (300, None)


def test_a_path_with_dots_is_not_followed(tmp_path: Path) -> None:
    files = {"memory.max": f"{300 * MIB}\n", "cpu.max": "max 100000\n"}
    assert left(tree(tmp_path, "0::/../other\n", unified(), files)) == (300, None)


def test_in_version_1_each_controller_has_its_tree(tmp_path: Path) -> None:
    own = "9:name=systemd:/\n4:memory:/docker/0123/m\n2:cpu,cpuacct:/docker/0123\n0::/\n"
    files = {
        "memory/memory.limit_in_bytes": f"{400 * MIB}\n",
        "memory/m/memory.limit_in_bytes": NONE,
        "cpu/cpu.cfs_quota_us": "250000\n",
        "cpu/cpu.cfs_period_us": "100000\n",
    }
    mounted = unified(place="/sys/fs/cgroup/unified") + separate("memory", "cpu", top="/docker/0123")
    assert left(tree(tmp_path, own, mounted, files)) == (400, 2.5)


def test_no_limit_is_none_in_either_version(tmp_path: Path) -> None:
    files = {
        "memory.max": "max\n",
        "cpu.max": "max 100000\n",
        "memory/memory.limit_in_bytes": NONE,
        "cpu/cpu.cfs_quota_us": "-1\n",
        "cpu/cpu.cfs_period_us": "100000\n",
    }
    own = "4:memory:/\n1:cpu:/\n0::/\n"
    assert left(tree(tmp_path, own, unified() + separate("memory", "cpu"), files)) == (None, None)


def test_a_kernel_without_control_groups_or_a_container_that_hides_them_limits_nothing(
    tmp_path: Path,
) -> None:
    assert left(tmp_path / "nothing") == (None, None)
    assert left(tree(tmp_path / "hidden", "0::/a\n", "", {})) == (None, None)


def test_the_first_mount_of_a_hierarchy_is_taken(tmp_path: Path) -> None:
    mounted = unified() + unified("/part", "/mnt/part")
    assert cgroup.mounts(mounted)[""] == (PurePosixPath("/"), PurePosixPath("/sys/fs/cgroup"))
    assert left(tree(tmp_path, "0::/a\n", mounted, {"a/memory.max": f"{MIB}\n"})) == (1, None)


@pytest.mark.parametrize(("mib", "workers"), [(64, 4), (512, 4), (1_024, 8), (4_096, 32), (1 << 20, 256)])
def test_half_of_the_memory_is_for_live_sessions(mib: int, workers: int) -> None:
    assert environment.default_max_workers(mib * MIB) == workers


def test_a_process_in_a_real_group_with_less_memory_reckons_with_that() -> None:
    with control_groups.limited("memory", control_groups.MEMORY, 900 * MIB) as group:
        child = os.fork()
        if child == 0:
            group.enter()
            os._exit(0 if environment.memory_bytes() == 900 * MIB else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
