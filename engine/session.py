"""A session as a pure state machine: its position, and what each event does to it.

Theory of operation. A session is a chain of events. Two positions in it matter: the *head*, the last
event of any kind, to which the next one is chained, and the *state*, the last state event (Created,
Forked, Executed, Accepted), whose id names what the code sees. ``apply`` is the only way from one position to
the next, so that a session read back from the log and one that has just written to it are the same.
Nothing here waits, reads a clock or touches a store.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from engine.chain import GENESIS, Record
from engine.errors import InvalidField, StoreCorrupt
from engine.events import STATE_EVENTS, Caller, Closed, Created, Forked

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
GIVEN_NAME = re.compile(r"s_[a-z0-9]{16}")
"""Names that the server gives; a client cannot create one."""
HEAP = re.compile(r"[0-9a-f]{64}")


class Position(Struct, frozen=True, kw_only=True):
    """Where a session is."""

    session: str
    owner: str
    name: str
    head_seq: int
    head_id: bytes
    state_seq: int
    state_id: bytes
    closed: bool = False

    @property
    def heap(self) -> str:
        """The state's name: 64 hex digits."""
        return self.state_id.hex()


class ForkPoint(Struct, frozen=True):
    """A state event of some session from which another one can begin."""

    session: str
    seq: int
    id: bytes


def check_name(name: str, *, field: str = "session") -> str:
    """``name`` if a session can be called that. Raises InvalidField."""
    if not NAME.fullmatch(name):
        raise InvalidField(
            "a session name is 1 to 128 letters, digits, dots, underscores or hyphens", field=field
        )
    return name


def check_heap(heap: str, *, field: str = "heap") -> bytes:
    """The 32 bytes of a heap's name. Raises InvalidField unless it is 64 hex digits."""
    if not HEAP.fullmatch(heap):
        raise InvalidField("a heap is 64 lower-case hex digits, as an earlier answer gave it", field=field)
    return bytes.fromhex(heap)


def first_event(
    session: str, owner: str, name: str, birth: ForkPoint | None, *, at: int, engine: str, caller: Caller
) -> Created | Forked:
    """The first event of the owner's session of that name, which forks at ``birth`` if that is set; ``at`` is
    in microseconds since the epoch.
    """
    if birth is None:
        return Created(session=session, seq=0, at=at, owner=owner, name=name, engine=engine, caller=caller)
    return Forked(
        session=session,
        seq=birth.seq + 1,
        at=at,
        owner=owner,
        name=name,
        engine=engine,
        caller=caller,
        parent=birth.session,
    )


def apply(position: Position | None, record: Record) -> Position:
    """The position after ``record``. Raises StoreCorrupt if it cannot follow ``position``."""
    event = record.event
    if position is None:
        if isinstance(event, Created):
            if event.seq != 0 or record.prev != GENESIS:
                raise StoreCorrupt(f"session {event.session} does not begin at its beginning")
        elif not isinstance(event, Forked):
            raise StoreCorrupt(f"session {event.session} begins with {type(event).__name__}")
        return Position(
            session=event.session,
            owner=event.owner,
            name=event.name,
            head_seq=event.seq,
            head_id=record.id,
            state_seq=event.seq,
            state_id=record.id,
        )
    if isinstance(event, (Created, Forked)):
        raise StoreCorrupt(f"session {position.session} begins twice, at event {event.seq}")
    if (
        position.closed
        or event.session != position.session
        or event.seq != position.head_seq + 1
        or record.prev != position.head_id
    ):
        raise StoreCorrupt(
            f"event {event.seq} does not follow event {position.head_seq} of {position.session}"
        )
    moved = replace(position, head_seq=event.seq, head_id=record.id, closed=isinstance(event, Closed))
    if isinstance(event, STATE_EVENTS):
        moved = replace(moved, state_seq=event.seq, state_id=record.id)
    return moved
