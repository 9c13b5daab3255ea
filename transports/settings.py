"""What an operator can choose about the HTTP side."""

from __future__ import annotations

from msgspec import Struct


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Settings of the HTTP side."""

    allowed_hosts: tuple[str, ...] = ()
    """Names for which requests are taken, beside loopback; ``*`` for all."""
    sse: bool = False
    """Whether MCP is served over server-sent events, too."""
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may call, beside those of the hosts; ``*`` for all."""
    requests_per_second: int = 2_000
    """That one owner may make, or one address where owners are not known; 0 for any number."""
    exec_async: bool = False
    """Whether ``POST /api/exec`` answers 202 at once by default."""
    drain_seconds: float = 5.0
    """Time that running executions get to end at shutdown."""
    answer_console_bytes: int = 64_000
    """Console text, in bytes of UTF-8, that an answer over REST carries."""
    mcp_chars: int = 16_000
    """Characters of the text of a ``run_js``."""
    all_tools: bool = False
    """Whether ``tools/list`` tells of every tool, and of the shapes of their results."""
    body_bytes: int = 4 << 20
    """Length of a request's body."""
    connections: int = 1_000
    """Connections that are open at once."""
    node: str = ""
    """This node's id in its cluster; empty without one."""
    store: str = "none"
    """What the log is kept in, as ``/readyz`` tells it."""


DEFAULTS = HttpSettings()
