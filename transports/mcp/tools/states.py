"""Tools that look at a session's states: variables, what differs between two, whether a replay agrees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import trio
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.catalog import StateView
from engine.comparison import from_where_they_part
from engine.errors import NotFound, TooLarge
from engine.isolate.wire import Global
from engine.looking import MAX_PREVIEW_CHARS, PATIENCE_SECONDS, PREVIEW_CHARS
from engine.statediff import difference
from transports.mcp.text import cut, handle, legible
from transports.mcp.tools.arguments import EXAMPLE
from transports.mcp.tools.entry import Asked, Entry, Hints, Point

MAX_SHOWN_CHARS = 12_000
"""Characters of variables in one result."""
MAX_DIFFERENCES = 20
"""Events of a replay that are told of."""
DIFFERENCE_CHARS = 400

_NAMED = 20
"""Names that an error lists."""


class Variable(Struct, frozen=True, kw_only=True):
    """A variable."""

    name: str
    type: str
    preview: str
    """Its value on one line, perhaps cut."""


class StateArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which state, and perhaps which variable."""

    session: Point | UnsetType = UNSET
    name: (
        Annotated[str, Meta(description="one variable, shown longer", extra={EXAMPLE: "rows"})] | UnsetType
    ) = UNSET


class StateResult(Struct, frozen=True, kw_only=True):
    """Variables."""

    session: str
    variables: list[Variable]
    more: int | UnsetType = UNSET
    """How many were left out, if any."""
    handle: str
    """``[name@n]``: the state that they are of."""


RequiredPoint = Annotated[str, Meta(description="`name@n`", extra={EXAMPLE: "demo@12"})]


class DiffArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Two states."""

    a: RequiredPoint
    b: Annotated[str, Meta(description="`name@n`, or `name` for its state now", extra={EXAMPLE: "demo@14"})]


class ChangedVariable(Struct, frozen=True, kw_only=True):
    """A variable whose type or preview is another one."""

    name: str
    before: str
    """Its preview in ``a``; its type, where that alone is another one."""
    after: str
    """The same in ``b``."""


class DiffResult(Struct, frozen=True, kw_only=True):
    """What leads from ``a`` to ``b``, as far as previews of 2,000 characters show it."""

    a: str
    b: str
    added: list[Variable]
    removed: list[Variable]
    changed: list[ChangedVariable]
    same: int
    """Variables that look the same."""
    more: int | UnsetType = UNSET
    """How many variables of both states could not be shown, if any."""


class ReplayArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """How far to replay which session."""

    session: Point | UnsetType = UNSET


class ReplayDifference(Struct, frozen=True, kw_only=True):
    """An event that did not do what the log says."""

    event: int
    field: str
    """What differs first: result_json, console, …"""
    expected: str
    got: str


class ReplayResult(Struct, frozen=True, kw_only=True):
    """What the replay came to."""

    session: str
    agrees: bool
    """Whether every event did what the log says."""
    executions: int
    """Events that were run again."""
    different: int
    """How many of them did something else."""
    differences: list[ReplayDifference]
    """The first of these."""
    failed_event: int | UnsetType = UNSET
    """Number of the event that ended every process in which it was replayed, and with it the replay."""
    drift: int | UnsetType = UNSET
    """Events recorded by another version whose texts came out otherwise, which is no fault."""
    handle: str
    """``[name@n]``: the last event that was replayed."""


async def session_state(asked: Asked[StateArguments]) -> StateResult:
    """The variables at a point."""
    which = asked.arguments
    session, at = asked.point(which.session)
    wanted = which.name or None
    chars = PREVIEW_CHARS if wanted is None else MAX_PREVIEW_CHARS
    view = await asked.engine.requests.state(asked.owner, session, at=at, preview_chars=chars)
    found = view.globals if wanted is None else [one for one in view.globals if one.name == wanted]
    if wanted is not None and not found:
        raise _not_found(view, wanted)
    shown = _fitting(found)
    more = len(found) - len(shown) + (view.more if wanted is None else 0)
    return StateResult(
        session=session,
        variables=shown,
        more=more or UNSET,
        handle=handle(session, view.event),
    )


async def diff_session(asked: Asked[DiffArguments]) -> DiffResult:
    """What differs between the variables of two states."""
    a, b = asked.arguments.a, asked.arguments.b
    points = asked.point(a, field="a"), asked.point(b, field="b")
    views: list[StateView] = []
    with trio.move_on_after(PATIENCE_SECONDS) as patience:
        for session, at in points:
            views.append(
                await asked.engine.requests.state(
                    asked.owner, session, at=at, preview_chars=MAX_PREVIEW_CHARS
                )
            )
    if patience.cancelled_caught:
        raise TooLarge(
            f"going back to both states takes more than {PATIENCE_SECONDS:g} s: fork them, and compare the "
            "forks, which stay there",
            field="b" if views else "a",
        )
    before, after = views
    found = difference(before, after)
    added, removed = _fitting(found.added), _fitting(found.removed)
    changed = _fitting_changes(found.changed)
    hidden = len(found.added) + len(found.removed) + len(found.changed)
    more = hidden - len(added) - len(removed) - len(changed) + before.more + after.more
    return DiffResult(
        a=handle(before.session, before.event),
        b=handle(after.session, after.event),
        added=added,
        removed=removed,
        changed=changed,
        same=found.same,
        more=more or UNSET,
    )


async def replay_session(asked: Asked[ReplayArguments]) -> ReplayResult:
    """Whether the log gives what it says."""
    session, at = asked.point(asked.arguments.session)
    told = await asked.engine.past.replay(asked.owner, session, at=at)
    differences = [
        ReplayDifference(
            event=event,
            field=one.field,
            expected=legible(cut(one.expected, DIFFERENCE_CHARS)),
            got=legible(cut(one.got, DIFFERENCE_CHARS)),
        )
        for event, one in list(told.found.items())[:MAX_DIFFERENCES]
    ]
    return ReplayResult(
        session=session,
        agrees=told.agrees,
        executions=told.executions,
        different=told.different,
        differences=differences,
        failed_event=UNSET if told.failed is None else told.failed,
        drift=UNSET if told.drift is None else told.drift.count,
        handle=handle(session, told.event),
    )


def _not_found(view: StateView, wanted: str) -> NotFound:
    names = [legible(one.name) for one in view.globals[:_NAMED]]
    rest = len(view.globals) + view.more - len(names)
    has = f"it has {', '.join(names)}" if names else "it has none"
    if rest:
        has += f" and {rest:,} more"
    return NotFound(
        f"there is no variable `{legible(wanted[:64])}` in {view.session}@{view.event}: {has}", field="name"
    )


def _fitting(variables: Iterable[Global]) -> list[Variable]:
    """The first variables, as many as there is room for."""
    shown: list[Variable] = []
    room = MAX_SHOWN_CHARS
    for one in variables:
        room -= len(one.name) + len(one.preview)
        if room < 0:
            break
        shown.append(Variable(name=legible(one.name), type=legible(one.type), preview=legible(one.preview)))
    return shown


def _fitting_changes(changes: Iterable[tuple[Global, Global]]) -> list[ChangedVariable]:
    shown: list[ChangedVariable] = []
    room = MAX_SHOWN_CHARS
    for before, after in changes:
        was, now = _parted(before.preview, after.preview)
        if was == now:
            was, now = before.type, after.type
        room -= len(before.name) + len(was) + len(now)
        if room < 0:
            break
        shown.append(ChangedVariable(name=legible(before.name), before=legible(was), after=legible(now)))
    return shown


def _parted(before: str, after: str) -> tuple[str, str]:
    """The two texts, those that are long from shortly before they part."""
    if max(len(before), len(after)) > PREVIEW_CHARS:
        before, after = from_where_they_part(before, after)
    return cut(before, PREVIEW_CHARS), cut(after, PREVIEW_CHARS)


ENTRIES: tuple[Entry[Any], ...] = (
    Entry(
        name="session_state",
        title="Variables of a session",
        description="The variables of a session, now or at `name@n`, with types and previews.",
        arguments=StateArguments,
        result=StateResult,
        run=session_state,
        hints=Hints(reads=True),
        listed=True,
    ),
    Entry(
        name="diff_session",
        title="Compare two states",
        description="The variables that were added, removed and changed between two points.",
        arguments=DiffArguments,
        result=DiffResult,
        run=diff_session,
        hints=Hints(reads=True),
    ),
    Entry(
        name="replay_session",
        title="Replay a session",
        description="Run a session's log again, in a process of its own, and say which events do not give "
        "again what was recorded. Changes nothing.",
        arguments=ReplayArguments,
        result=ReplayResult,
        run=replay_session,
        hints=Hints(reads=True),
    ),
)
