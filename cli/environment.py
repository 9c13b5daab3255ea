"""What the machine and the environment say where nobody has chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine import cgroup

MIB_PER_WORKER = 64
"""Memory that a live session is reckoned with when workers are bounded by memory."""


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the log is kept by default."""
    of_service = _of_service("STATE_DIRECTORY", environ)
    return of_service or _xdg("XDG_STATE_HOME", ".local/state", environ) / "mcp-v8"


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where what can be made again is kept."""
    of_service = _of_service("CACHE_DIRECTORY", environ)
    return of_service or _xdg("XDG_CACHE_HOME", ".cache", environ) / "mcp-v8"


def memory_bytes() -> int:
    """Memory that there is for this program: the machine's, or the part of it that its container may use."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(machine, cgroup.memory_bytes() or machine)


def default_max_workers(memory: int) -> int:
    """Live sessions that fit in half of so many bytes, from 4 to 256."""
    return max(4, min(256, memory // 2 // (MIB_PER_WORKER << 20)))


def _of_service(variable: str, environ: Mapping[str, str]) -> Path | None:
    """A directory that systemd, or the image, has made for this service: the first, where there are several
    (see systemd.exec(5)).
    """
    path = Path((environ.get(variable) or "").partition(":")[0])
    return path if path.is_absolute() else None


def _xdg(variable: str, fallback: str, environ: Mapping[str, str]) -> Path:
    """A base directory of the XDG specification, which ignores relative paths."""
    path = Path(environ.get(variable) or "")
    return path if path.is_absolute() else Path.home() / fallback
