"""What nodes ask each other, as msgpack: each request is a call of its own, answered by frames."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from engine.catalog import StateView
from engine.commands import (
    Accept,
    Bury,
    Changed,
    Delete,
    Fork,
    Keep,
    Kept,
    Look,
    Request,
    Tag,
)
from engine.events import Caller, Line
from engine.execution import Report, Submission

EXECUTE, ASK, FOLLOW, UNDER_WAY, DESCRIBE = "execute", "ask", "follow", "under_way", "describe"
NOTE = "note"
MOVE, PREPARE, DRAIN = "move", "prepare", "drain"
"""Names of the calls."""
CANCEL = b"cancel"
"""A frame of the caller of ``EXECUTE`` and ``FOLLOW``."""


class ToExecute(Struct, frozen=True, kw_only=True):
    """Run this, under the id that it was accepted with."""

    submission: Submission
    execution_id: str
    accepted_at: int
    is_promised: bool
    """Whether its id is told to a client before it is over."""


class ToFollow(Struct, frozen=True, kw_only=True):
    """Tell of this execution from its first console line on."""

    owner: str
    execution_id: str


class ToNote(Struct, frozen=True, kw_only=True):
    """A client is about to be told the id of this execution: let it be known if this node is lost."""

    owner: str
    execution_id: str


class Taken(Struct, frozen=True, kw_only=True, tag="taken"):
    """The execution is under way, or over: it will not be begun anywhere else."""

    code: str
    caller: Caller
    accepted_at: int
    idempotency_key: str | None
    request_hash: str
    execution_id: str
    """As it is called there: another one was asked for before under the same idempotency key."""


class Moved(Struct, frozen=True, tag="moved"):
    """It is in the session of that name now."""

    session: str | None


class Printed(Struct, frozen=True, tag="printed"):
    """More of its console."""

    lines: tuple[Line, ...]


class Over(Struct, frozen=True, tag="over"):
    """It is over, and what it came to was durable at a revision."""

    report: Report
    revision: int


Told = Taken | Moved | Printed | Over


class ToDelete(Struct, frozen=True, kw_only=True, tag="delete"):
    """See ``engine.commands.Delete``."""

    caller: Caller
    only_at: int | None = None


class ToAccept(Struct, frozen=True, kw_only=True, tag="accept"):
    """See ``engine.commands.Accept``."""

    caller: Caller


class ToFork(Struct, frozen=True, kw_only=True, tag="fork"):
    """See ``engine.commands.Fork``."""

    into: str
    caller: Caller


class ToTag(Struct, frozen=True, kw_only=True, tag="tag"):
    """See ``engine.commands.Tag``."""

    at: int | None
    tags: dict[str, str | None]
    caller: Caller


class ToKeep(Struct, frozen=True, tag="keep"):
    """See ``engine.commands.Keep``."""


class ToLook(Struct, frozen=True, tag="look"):
    """See ``engine.commands.Look``."""

    preview_chars: int


class ToBury(Struct, frozen=True, kw_only=True, tag="bury"):
    """See ``engine.commands.Bury``."""

    submission: Submission
    execution_id: str
    accepted_at: int


Asked = ToDelete | ToAccept | ToFork | ToTag | ToKeep | ToLook | ToBury


class ToAsk(Struct, frozen=True, kw_only=True):
    """Do this in a session."""

    owner: str
    session: str
    """The session's name."""
    what: Asked


class Answered(Struct, frozen=True):
    """It is done, and what it changed was durable at a revision."""

    changed: Changed | None
    kept: Kept | None
    view: StateView | None
    revision: int


class ToList(Struct, frozen=True):
    """Say what is under way for an owner."""

    owner: str
    session: str | None
    """Only in the session of that name."""


class Held(Struct, frozen=True, kw_only=True):
    """An execution that is under way."""

    execution_id: str
    session: str | None
    accepted_at: int
    code: str
    """Its first line."""
    caller: Caller


class ToDescribe(Struct, frozen=True, kw_only=True):
    """Say how a session is that the node has."""

    owner: str
    session: str


class ToMove(Struct, frozen=True, kw_only=True):
    """Let another node have a session that the one asked has."""

    owner: str
    session: str
    to: str


class ToPrepare(Struct, frozen=True, kw_only=True):
    """Have a worker ready for a session that is about to come, in its state as of a revision or later."""

    owner: str
    session: str
    revision: int


_told: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)
encode = msgspec.msgpack.Encoder().encode


def decode_told(frame: bytes) -> Told:
    """A frame that tells of an execution."""
    return _told.decode(frame)


def asked_of(command: Delete | Accept | Fork | Tag | Bury | Keep | Look) -> Asked:
    """What another node is told to do in a command's place."""
    match command:
        case Delete():
            return ToDelete(caller=command.caller, only_at=command.only_at)
        case Accept():
            return ToAccept(caller=command.caller)
        case Fork():
            return ToFork(into=command.into, caller=command.caller)
        case Tag():
            return ToTag(at=command.at, tags=command.tags, caller=command.caller)
        case Keep():
            return ToKeep()
        case Look():
            return ToLook(command.preview_chars)
        case Bury():
            return ToBury(
                submission=command.submission,
                execution_id=command.execution_id,
                accepted_at=command.accepted_at,
            )


def command_of(asked: ToAsk, answered: Any) -> Delete | Accept | Fork | Tag | Keep | Look | Bury:
    """The command that does it here; ``answered`` is told when it is."""
    name, what = asked.session, asked.what
    match what:
        case ToDelete():
            return Delete(name, what.caller, answered, only_at=what.only_at)
        case ToAccept():
            return Accept(name, what.caller, answered)
        case ToFork():
            return Fork(name, what.into, what.caller, answered)
        case ToTag():
            return Tag(name, what.at, what.tags, what.caller, answered)
        case ToKeep():
            return Keep(answered)
        case ToLook():
            return Look(what.preview_chars, answered)
        case ToBury():
            return Bury(what.submission, what.execution_id, what.accepted_at, name, answered)


def answer_of(told: Changed | Kept | StateView, revision: int) -> Answered:
    """What a command came to."""
    return Answered(
        told if isinstance(told, Changed) else None,
        told if isinstance(told, Kept) else None,
        told if isinstance(told, StateView) else None,
        revision,
    )


def give(command: Request[Any], answered: Answered) -> None:
    """Let a command be answered as another node has."""
    command.answer(answered.changed or answered.kept or answered.view)
