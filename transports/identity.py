"""Who makes a request: whose sessions it may see, and as whom its events remember it."""

from __future__ import annotations

from msgspec import Struct

from transports.asgi import Scope

SCOPE_KEY = "mcp-v8.identity"
"""Where the ASGI scope of a request has its ``Identity``, put there before any door sees it."""


class Identity(Struct, frozen=True):
    """An owner, and who asks in its name."""

    owner: str
    """Sees its own sessions and executions; everybody else's do not exist for it."""
    subject: str = ""
    """What events record of who asked, beside what a client says about itself."""
    credential: bytes = b""
    """SHA-256 of the token that tells it; empty where none was needed."""


LOCAL = Identity("local")
"""Everybody, on a server without authentication and on stdio."""


def identity(scope: Scope) -> Identity:
    """Who makes the request of an ASGI scope."""
    found = scope.get(SCOPE_KEY, LOCAL)
    assert isinstance(found, Identity)
    return found
