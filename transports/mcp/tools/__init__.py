"""The MCP tools beside ``run_js``: one table of them."""

from __future__ import annotations

from typing import Any

from transports.mcp.tools import executions, sessions, states, tags
from transports.mcp.tools.entry import Entry

ENTRIES: dict[str, Entry[Any]] = {
    entry.name: entry for entry in (*executions.ENTRIES, *sessions.ENTRIES, *states.ENTRIES, *tags.ENTRIES)
}


def listed(*, stateless: bool, every: bool) -> list[Entry[Any]]:
    """The tools that a server tells of: by default few, so that a model reads little."""
    return [
        entry
        for entry in ENTRIES.values()
        if (entry.listed or every) and (entry.without_sessions or not stateless)
    ]
