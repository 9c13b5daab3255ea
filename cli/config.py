"""What the server is told to do, checked: flags, environment and defaults become ``Settings``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from engine.limits import LimitPolicy, Limits
from engine.placement import Placement
from transports.settings import HttpSettings

MAX_PORT = 65_535
MIB_PER_WORKER = 64
"""Memory that a live session is reckoned with when workers are bounded by memory."""

_HOST_NAME = re.compile(r"[^\s:/?#@\[\]]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")


class ConfigError(Exception):
    """Settings that contradict each other; the message is one sentence."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything ``serve`` needs to know."""

    bind_host: str
    http_port: int
    """0 for any free port."""
    store: Path | None
    """Directory of the event log; None for a stateless server."""
    cache_dir: Path
    max_workers: int
    placement: Placement | None
    """Processors for the server and for its workers; None leaves them to the kernel."""
    policy: LimitPolicy
    http: HttpSettings


def store_directory(
    chosen: Path | None, *, stateless: bool, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """Where the log is, as an absolute path. Raises ConfigError for a directory of a stateless server."""
    if stateless:
        if chosen is not None:
            raise ConfigError("--stateless keeps nothing, so --directory-path cannot be given with it")
        return None
    if chosen is not None:
        return chosen.absolute()
    return xdg("XDG_STATE_HOME", ".local/state", environ) / "mcp-v8"


def port_variable(environ: Mapping[str, str] = os.environ) -> int | None:
    """The port that hosting platforms set. Raises ConfigError if ``PORT`` is no port."""
    text = environ.get("PORT")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise ConfigError(f"the variable PORT is {text!r}, which is no port: set a number up to {MAX_PORT}")
    return int(text)


def host_names(text: str) -> tuple[str, ...]:
    """The names in a list separated by commas. Raises ConfigError for one with more than a name."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if _HOST_NAME.fullmatch(name) is None:
            raise ConfigError(f"--allowed-hosts takes names without scheme, port or path, not {name!r}")
    return names


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Where what can be made again is kept."""
    return xdg("XDG_CACHE_HOME", ".cache", environ) / "mcp-v8"


def xdg(variable: str, fallback: str, environ: Mapping[str, str]) -> Path:
    """A base directory of the XDG specification, which ignores relative paths."""
    path = Path(environ.get(variable) or "")
    return path if path.is_absolute() else Path.home() / fallback


def default_max_workers() -> int:
    """Live sessions that fit in half of the machine's memory, from 4 to 256."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(4, min(256, memory // 2 // (MIB_PER_WORKER << 20)))


def limit_policy(
    *,
    execution_timeout: float,
    max_execution_timeout: float,
    heap_memory: int,
    heap_memory_max: int,
    session_events: int,
) -> LimitPolicy:
    """The policy for times in seconds and memory in MiB.

    Raises ConfigError for a default over its maximum.
    """
    if execution_timeout > max_execution_timeout:
        raise ConfigError(
            f"--execution-timeout {execution_timeout:g} is over "
            f"--max-execution-timeout {max_execution_timeout:g}"
        )
    if heap_memory > heap_memory_max:
        raise ConfigError(f"--heap-memory {heap_memory} is over --heap-memory-max {heap_memory_max}")
    return LimitPolicy(
        default=Limits(time_ms=round(execution_timeout * 1000), heap_mb=heap_memory),
        max_time_ms=round(max_execution_timeout * 1000),
        max_heap_mb=heap_memory_max,
        max_session_events=session_events,
    )
