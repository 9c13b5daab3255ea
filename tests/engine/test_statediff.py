"""What differs between the variables of two states."""

from __future__ import annotations

from engine.catalog import StateView
from engine.isolate.wire import Global
from engine.statediff import Change, difference


def view(*variables: Global) -> StateView:
    return StateView(session="a", event=1, heap="", globals=variables, more=0)


def test_variables_are_added_removed_changed_or_the_same() -> None:
    gone, kept = Global("gone", "lexical", "number", "1"), Global("kept", "global", "number", "1")
    n, now = Global("n", "lexical", "number", "1"), Global("n", "lexical", "string", "'1'")
    new = Global("new", "global", "boolean", "true")
    told = difference(view(gone, kept, n), view(kept, now, new))
    assert (told.added, told.removed, told.changed, told.same) == ((new,), (gone,), (Change(n, now),), 1)


def test_a_variable_that_hides_a_global_one_is_another_one() -> None:
    outer, inner = Global("n", "global", "number", "1"), Global("n", "lexical", "number", "2")
    told = difference(view(outer), view(inner, outer))
    assert (told.added, told.changed, told.same) == ((inner,), (), 1)
