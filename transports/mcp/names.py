"""What connections of MCP's clients are called: in a cluster by the node that has them, too."""

from __future__ import annotations

from uuid import uuid4


def new_name(node: str) -> str:
    """A name that nobody can guess, of a connection to this node; ``node`` is empty without a cluster."""
    name = uuid4().hex
    return f"{node}.{name}" if node else name


def node_of(name: str) -> str:
    """The node that has the connection; empty where the name tells none."""
    return name.rpartition(".")[0]
