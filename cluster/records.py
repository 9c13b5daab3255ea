"""What is written in etcd of members, of sessions and of what runs, as JSON that an operator can read."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from engine.execution import Submission

FORMAT = 1
"""Of all that a cluster has in etcd."""

NodeState = Literal["serving", "draining"]


class Load(Struct, frozen=True, kw_only=True):
    """What a node has to do."""

    running: int = 0
    queued: int = 0
    sessions: int = 0
    """In use."""
    processors: int = 1


class Member(Struct, frozen=True, kw_only=True):
    """A node, put again every second."""

    node: str
    incarnation: str
    """16 random hex digits of its process."""
    addr: str
    """HOST:PORT at which other nodes reach it."""
    program: str
    """Name and version."""
    state: NodeState
    since: int
    """When it joined, in microseconds since the epoch."""
    format: int = FORMAT
    """Newest that it can read."""
    load: Load = Load()


class Owned(Struct, frozen=True, kw_only=True):
    """A session that a node has."""

    node: str
    incarnation: str
    owner: str
    name: str


class Running(Struct, frozen=True, kw_only=True):
    """An execution that is not over, and that somebody may ask for by its id."""

    node: str
    incarnation: str
    execution_id: str
    accepted_at: int
    """Microseconds since the epoch."""
    session: str
    """The session's name."""
    submission: Submission
