"""Tools for the labels of states, by the names that clients of the Rust mcp-v8 know."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.errors import InvalidField
from transports.mcp.call import bare
from transports.mcp.text import handle
from transports.mcp.tools.arguments import EXAMPLE
from transports.mcp.tools.entry import Asked, Cursor, Entry, Hints
from transports.request import HEAP, session_point

PAGE_SESSIONS = 20
"""Sessions whose states are searched for one result."""
MAX_RESULTS = 100

Heap = Annotated[
    str, Meta(description="a state: 64 hex digits, `name@n`, or `name`", extra={EXAMPLE: "demo@12"})
]
Tags = Annotated[dict[str, str], Meta(extra={EXAMPLE: {"stage": "clean"}})]


class HeapArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which state."""

    heap: Heap


class SetArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Labels that a state shall have, and no others."""

    heap: Heap
    tags: Tags


class DeleteArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which labels to take away."""

    heap: Heap
    keys: (
        Annotated[str, Meta(description="separated by commas; default: all", extra={EXAMPLE: "stage,owner"})]
        | UnsetType
    ) = UNSET


class TagsResult(Struct, frozen=True, kw_only=True):
    """A state, and its labels now."""

    heap: str
    tags: dict[str, str]
    handle: str
    """``[name@n]``: the same state."""


class QueryArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Labels that a state must have, all of them."""

    tags: Tags
    after: Cursor | UnsetType = UNSET


class QueryResult(Struct, frozen=True, kw_only=True):
    """States that have the labels."""

    results: list[TagsResult]
    more: int | UnsetType = UNSET
    """How many more states of the same sessions have them, if any."""
    next: str | UnsetType = UNSET
    """``after`` of the next page."""


class State(NamedTuple):
    """A state, and where it came about."""

    session: str
    event: int
    heap: str

    def labelled(self, tags: dict[str, str]) -> TagsResult:
        """The state with these labels."""
        return TagsResult(heap=self.heap, tags=tags, handle=handle(self.session, self.event))


async def get_tags(asked: Asked[HeapArguments]) -> TagsResult:
    """The labels of a state."""
    state = await _state(asked, asked.arguments.heap)
    return state.labelled(await _tags(asked, state))


async def set_tags(asked: Asked[SetArguments]) -> TagsResult:
    """Give a state these labels, in the place of those that it has."""
    state = await _state(asked, asked.arguments.heap)
    old = await _tags(asked, state)
    return await _change(asked, state, {**dict.fromkeys(old), **asked.arguments.tags})


async def delete_tags(asked: Asked[DeleteArguments]) -> TagsResult:
    """Take labels of a state away."""
    state = await _state(asked, asked.arguments.heap)
    if asked.arguments.keys is UNSET:
        keys = list(await _tags(asked, state))
    else:
        keys = [key for part in asked.arguments.keys.split(",") if (key := part.strip())]
    return await _change(asked, state, dict.fromkeys(keys))


async def query_by_tags(asked: Asked[QueryArguments]) -> QueryResult:
    """States that have all of the labels, of a page of the sessions that have one of them."""
    wanted = asked.arguments.tags
    if not wanted:
        raise InvalidField('`tags` names no label; for example {"tags":{"stage":"clean"}}', field="tags")
    key, value = next(iter(wanted.items()))
    page = await asked.engine.sessions(
        asked.owner, limit=PAGE_SESSIONS, after=asked.arguments.after or None, tag=f"{key}:{value}"
    )
    found: list[tuple[str, int, dict[str, str]]] = []
    for listed in page.items:
        info = await asked.engine.session(asked.owner, listed.name) if listed.more_tags else listed
        found += [
            (info.name, event, tags) for event, tags in info.tags.items() if wanted.items() <= tags.items()
        ]
    results = []
    for name, event, tags in found[:MAX_RESULTS]:
        record = await asked.engine.event(asked.owner, name, event)
        results.append(State(name, event, record.id.hex()).labelled(tags))
    return QueryResult(results=results, more=len(found) - len(results) or UNSET, next=page.next or UNSET)


async def _state(asked: Asked[Any], heap: str) -> State:
    """The state that is meant. Raises InvalidField, NotFound."""
    if HEAP.fullmatch(heap):
        name, event = await asked.engine.point(asked.owner, heap)
        return State(name, event, heap.lower())
    try:
        name, at = session_point(bare(heap), field="heap")
    except InvalidField as wrong:
        raise InvalidField(
            "`heap` must be 64 hex digits, or `name@n` or `name` of a session", field="heap"
        ) from wrong
    point = await asked.engine.past.point(asked.owner, name, at=at)
    return State(name, point.seq, point.id.hex())


async def _tags(asked: Asked[Any], state: State) -> dict[str, str]:
    return (await asked.engine.session(asked.owner, state.session)).tags.get(state.event, {})


async def _change(asked: Asked[Any], state: State, tags: dict[str, str | None]) -> TagsResult:
    if not tags:
        return state.labelled(await _tags(asked, state))
    info = await asked.engine.requests.tag(
        asked.owner, state.session, at=state.event, tags=tags, caller=asked.caller
    )
    return state.labelled(info.tags.get(state.event, {}))


ENTRIES: tuple[Entry[Any], ...] = (
    Entry(
        name="get_heap_tags",
        title="Labels of a state",
        description="The labels of a state.",
        arguments=HeapArguments,
        result=TagsResult,
        run=get_tags,
        hints=Hints(reads=True),
    ),
    Entry(
        name="set_heap_tags",
        title="Label a state",
        description="Give a state labels, in the place of those that it has.",
        arguments=SetArguments,
        result=TagsResult,
        run=set_tags,
        hints=Hints(destroys=True, repeatable=True),
    ),
    Entry(
        name="delete_heap_tags",
        title="Take labels away",
        description="Take labels of a state away.",
        arguments=DeleteArguments,
        result=TagsResult,
        run=delete_tags,
        hints=Hints(destroys=True, repeatable=True),
    ),
    Entry(
        name="query_heaps_by_tags",
        title="States by label",
        description="The states that have all of the given labels.",
        arguments=QueryArguments,
        result=QueryResult,
        run=query_by_tags,
        hints=Hints(reads=True),
    ),
)
