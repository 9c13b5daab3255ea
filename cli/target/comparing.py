"""Two states compared: by the previews of their variables and, where these do not show all, in full.

A preview is one line, cut, and not deep. What it may not show is printed by ``console.dir`` on a copy of the
session, to any depth and length, and functions by their text; that changes nothing in the session.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import asdict, replace

from cli.target.client import Client
from cli.target.evaluation import evaluate
from cli.target.failures import Failed
from cli.target.point import Point
from engine.catalog import StateView
from engine.isolate.wire import Global
from engine.limits import Limits
from engine.looking import MAX_PREVIEW_CHARS
from engine.statediff import difference
from transports.rest.past_shapes import Changes, changes_answer
from transports.rest.shapes import GlobalAnswer, StateAnswer

_SHORT = 72
"""Characters of a preview that needs no better text."""
_MAX_NAME = 256
"""Characters of a name; one that long is cut."""
_HIDDEN = re.compile(r"\[[^\s\]]|…|\.\.\. ")
"""What stands for more in a preview: ``[Object]``, ``… more items``, the end of a text that is cut."""
_FUNCTIONS = ("function", "class")
_UNSEEN = ("accessor", "uninitialized")
"""Types of what has no value that could be printed without running code, or failing."""
_OPTIONS = "{ depth: null, maxArrayLength: null, maxStringLength: null }"
_CUT = Limits().result_chars
"""Characters to which a value that is printed is cut."""
_GROUPS = 1_000
"""Groups of the console that are ended, since their indentation is not of the values."""


class StateDiff(Struct, frozen=True, kw_only=True):
    """What leads from state ``a`` to state ``b``."""

    a: str
    b: str
    changes: Changes
    """Variables that changed have their values in full instead of a preview, where these are known."""
    notes: list[str]
    """What could not be compared, in sentences."""


async def compare(client: Client, a: Point, b: Point) -> StateDiff:
    """What differs. Raises Refused, Failed."""
    views = [await _state(client, point) for point in (a, b)]
    points = [Point(point.session, view.event) for point, view in zip((a, b), views, strict=True)]
    notes = [
        f"{point} has {view.more:,} more variables, which are not compared"
        for point, view in zip(points, views, strict=True)
        if view.more
    ]
    before, after = ({(one.scope, one.name): one for one in view.globals} for view in views)
    unsure = [one for key, one in before.items() if key in after and _is_unsure(one, after[key])]
    if unsure:
        try:
            texts = [await _texts(client, point, unsure) for point in points]
        except Failed as failed:
            texts = []
            notes.append(f"long values are compared as far as previews show them: {failed.sentence}")
        for one, was, now in zip(unsure, *texts, strict=True) if texts else ():
            key = one.scope, one.name
            if was is None or now is None or (was == now and len(was) >= _CUT):
                notes.append(f"{one.name} is compared as far as its previews show it: there is too much")
            elif was != now:
                before[key] = replace(before[key], preview=was)
                after[key] = replace(after[key], preview=now)
    changes = difference(_view(views[0], before.values()), _view(views[1], after.values()))
    return StateDiff(a=str(points[0]), b=str(points[1]), changes=changes_answer(changes), notes=notes)


async def _state(client: Client, point: Point) -> StateAnswer:
    path = f"/api/sessions/{point.session}/state"
    return await client.ask(
        StateAnswer, "GET", path, {"event": point.event, "preview_chars": MAX_PREVIEW_CHARS}
    )


def _view(told: StateAnswer, variables: Iterable[GlobalAnswer]) -> StateView:
    found = tuple(Global(**asdict(one)) for one in variables)
    return StateView(session=told.session, event=told.event, heap=told.heap, globals=found, more=told.more)


def _is_unsure(before: GlobalAnswer, after: GlobalAnswer) -> bool:
    """Whether the previews of a variable do not tell whether it changed, or not well in what."""
    if before.type != after.type or before.type in _UNSEEN or len(before.name) >= _MAX_NAME:
        return False
    if before.type in _FUNCTIONS:
        return True
    if before.preview == after.preview:
        return _HIDDEN.search(before.preview) is not None
    return max(len(before.preview), len(after.preview)) > _SHORT


async def _texts(client: Client, point: Point, variables: Sequence[GlobalAnswer]) -> list[str | None]:
    """These variables as they are printed in full; None for what there was no room for.

    Raises Refused, Failed.
    """
    mark = secrets.token_hex(8)
    lines = [f"for (let i = 0; i < {_GROUPS}; i++) console.groupEnd()"]
    for one in variables:
        named = one.name if one.scope == "lexical" else f"globalThis[{json.dumps(one.name)}]"
        text = f"console.dir({named}, {_OPTIONS})"
        if one.type in _FUNCTIONS:
            text = f"console.log('%s', Function.prototype.toString.call({named}))"
        lines.append(f"console.log('{mark}'); {text}")
    told = await evaluate(client, point.session, point.event, "\n".join([*lines, "0"]))
    if told.status != "completed":
        raise Failed(told.error or told.status)
    _, *found = told.output.split(f"{mark}\n")
    if told.output_truncated:
        found = found[:-1]  # its end is missing
    return [text.removesuffix("\n") for text in found] + [None] * (len(variables) - len(found))
