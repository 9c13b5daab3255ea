"""What differs between the variables of two states, as far as types and previews show it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from engine.catalog import StateView
from engine.isolate.wire import Global


class Change(NamedTuple):
    """A variable that both states have, and that differs."""

    before: Global
    after: Global


class StateDifference(Struct, frozen=True, kw_only=True):
    """What leads from one state to another one."""

    added: tuple[Global, ...]
    removed: tuple[Global, ...]
    changed: tuple[Change, ...]
    same: int
    """How many variables look the same."""


def difference(before: StateView, after: StateView) -> StateDifference:
    """What of the variables that were seen is only in one of the states, or differs."""
    had = {(one.scope, one.name): one for one in before.globals}
    has = {(one.scope, one.name): one for one in after.globals}
    both = [Change(had[key], has[key]) for key in had if key in has]
    changed = tuple(pair for pair in both if pair.before != pair.after)
    return StateDifference(
        added=tuple(one for key, one in has.items() if key not in had),
        removed=tuple(one for key, one in had.items() if key not in has),
        changed=changed,
        same=len(both) - len(changed),
    )
