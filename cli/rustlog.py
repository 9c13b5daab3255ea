"""``RUST_LOG``, by which programs of the Rust world are told what to log."""

from __future__ import annotations

from collections.abc import Sequence

_LEVELS = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "off": "error",
}
_OURS = ("mcp_v8", "mcp-v8")


def level(filters: str) -> tuple[str | None, Sequence[str]]:
    """Our level in a list such as ``mcp_v8=debug,hyper=info``, and the parts that mean nothing here.

    A level without a name is for every program, a name without a level wants all of it, and what is
    about this program goes before what is about all.
    """
    everybody: str | None = None
    ours: str | None = None
    unknown: list[str] = []
    for part in filter(None, (part.strip() for part in filters.split(","))):
        name, named, wanted = part.rpartition("=") if "=" in part else ("", "", part)
        if not named and part in _OURS:
            ours = "debug"
        elif wanted.lower() not in _LEVELS or (named and name.strip() not in _OURS):
            unknown.append(part)
        elif named:
            ours = _LEVELS[wanted.lower()]
        else:
            everybody = _LEVELS[wanted.lower()]
    return ours or everybody, unknown
