"""What is fuzzed: functions that take any bytes and fail if the program does what it must not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Final

Target = Callable[[bytes], None]

NAMES: Final = {
    "frames": "worker",
    "attempts": "worker",
    "variables": "worker",
    "copies": "worker",
    "packets": "worker",
    "records": "log",
    "events": "log",
    "files": "files",
    "envelopes": "blobs",
    "snapshots": "blobs",
    "submissions": "requests",
    "queries": "requests",
    "bodies": "requests",
    "routes": "routes",
    "tools": "tools",
    "tokens": "access",
    "gates": "access",
    "messages": "access",
    "resources": "resources",
    "texts": "texts",
    "pages": "texts",
    "lines": "texts",
    "configurations": "configurations",
    "connections": "connections",
    "conversations": "conversations",
    "calls": "nodes",
    "introductions": "nodes",
}
"""The targets, and the modules that they are in."""


def target(name: str) -> Target:
    """The target of that name."""
    module = importlib.import_module(f"fuzz.targets.{NAMES[name]}")
    found: Target = getattr(module, name)
    return found
