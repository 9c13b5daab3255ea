"""A text about the server that clients can read as a resource."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Document(Struct, frozen=True, kw_only=True):
    """A text that is the same for everybody."""

    name: str
    """Its place below ``mcp-v8://docs/``."""
    title: str
    description: str
    media: str
    text: Callable[[], str]

    @property
    def uri(self) -> str:
        """Its address."""
        return f"mcp-v8://docs/{self.name}"
