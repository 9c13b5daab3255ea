"""The clients' settings in docs/clients.md, as the tests use them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from documents import ROOT, fenced

CLIENTS = ROOT / "docs" / "clients.md"
SHOWN_AT = "http://localhost:8080"

_PLACEHOLDER = re.compile(r"\$\{(?:env:|input:)?[\w-]+\}")


@dataclass(frozen=True)
class Entry:
    """A server in a client's settings: an address, or a program."""

    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    type: str = ""
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join((self.url or self.command, *self.args, *self.headers))

    def headers_with(self, token: str) -> dict[str, str]:
        """The headers, as the client sends them when its placeholder stands for ``token``."""
        return {name: _PLACEHOLDER.sub(token, value) for name, value in self.headers.items()}


def entries() -> Iterator[Entry]:
    """Every one in the document's ``json`` blocks, which hold nothing else."""
    for block in fenced(CLIENTS, "json"):
        settings: dict[str, Any] = json.loads(block)
        servers = settings.get("mcpServers") or settings["servers"]
        for known in servers.values():
            yield Entry(**{**known, "args": tuple(known.get("args", ()))})
