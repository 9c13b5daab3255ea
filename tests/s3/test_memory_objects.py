"""Objects in memory are objects, and fail as planned."""

from __future__ import annotations

import pytest
from s3_memory import MemoryObjects

from persistence.s3.objects import Exists, Missing, Objects, Refused, Unanswered


def test_they_are_objects() -> None:
    objects: Objects = MemoryObjects()
    objects.put("b/2", b"two", new=True)
    objects.put("b/1", b"one")
    with pytest.raises(Exists):
        objects.put("b/1", b"other", new=True)
    assert objects.get("b/1") == b"one"
    assert [one.key for one in objects.find("b/")] == ["b/1", "b/2"]
    assert [one.key for one in objects.find("b/", after="b/1")] == ["b/2"]
    objects.delete(["b/1", "b/3"])
    with pytest.raises(Missing):
        objects.get("b/1")


def test_each_call_comes_to_what_is_planned_for_it_once() -> None:
    objects = MemoryObjects()
    objects.plan("put", "before", None, "after", "refused")
    with pytest.raises(Unanswered):
        objects.put("a", b"1", new=True)
    assert objects.stored == {}, "it did not take effect"
    objects.put("a", b"1", new=True)
    with pytest.raises(Unanswered):
        objects.put("b", b"2", new=True)
    assert objects.get("b") == b"2", "it took effect"
    with pytest.raises(Refused):
        objects.put("c", b"3")
    assert objects.planned == 0
    assert objects.calls == [("put", "a"), ("put", "a"), ("put", "b"), ("get", "b"), ("put", "c")]


def test_a_call_after_which_there_was_no_answer_is_refused_if_it_would_have_been() -> None:
    objects = MemoryObjects()
    objects.put("a", b"1")
    objects.plan("put", "after")
    with pytest.raises(Exists):
        objects.put("a", b"2", new=True)
