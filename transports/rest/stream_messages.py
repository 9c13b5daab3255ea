"""The messages of ``/api/sessions/{name}/stream``, as they are sent and as a follower reads them."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from engine.events import Level

VERSION = 1
"""Of the messages."""


class Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """One message; ``type`` says which."""


class Begun(Message, frozen=True, tag="begun"):
    """The first message: whom this follows, and from where."""

    session: str
    after: int
    version: int = VERSION


class Accepted(Message, frozen=True, tag="accepted"):
    """An execution waits for its turn, or runs."""

    execution_id: str
    code: str
    """Its first line."""


class Console(Message, frozen=True, tag="console"):
    """A console line of an execution that is not over: what it did may still be undone."""

    execution_id: str
    line: int
    """From 1."""
    level: Level
    text: str
    provisional: Literal[True] = True


class Happened(Message, frozen=True, tag="event"):
    """An event, which is durable."""

    event: msgspec.Raw
    """As lists have it."""


class Gone(Message, frozen=True, tag="gone"):
    """There will be no event of an execution here: it ran on a fork, or could not be run or recorded."""

    execution_id: str
    error: str | None
    """Why it could not be run or recorded, where that is known."""


class Alive(Message, frozen=True, tag="alive"):
    """Nothing has happened for a while."""


class Closed(Message, frozen=True, tag="closed"):
    """The session was deleted, or did not begin; nothing follows."""


AnyMessage = Begun | Accepted | Console | Happened | Gone | Alive | Closed
"""A message, by its ``type``."""
