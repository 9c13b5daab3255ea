"""What a node sees of its cluster follows from what happens in etcd."""

from __future__ import annotations

import logging
import math

import msgspec
import pytest
import trio
import trio.testing

from cluster.keys import Keys
from cluster.records import Member, Owned
from cluster.view import View
from persistence.etcd.requests import Event, KeyValue

KEYS = Keys("test")
MEMBER = Member(node="a", incarnation="1" * 16, addr="a:1", program="mcp-v8 0", state="serving", since=1)
OWNED = Owned(node="a", incarnation="1" * 16, owner="local", name="x")


def kept(key: bytes, value: object, revision: int) -> KeyValue:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return KeyValue(key, body, create_revision=revision, mod_revision=revision)


def put(key: bytes, value: object, revision: int) -> Event:
    return Event("put", kept(key, value, revision))


def gone(key: bytes, revision: int) -> Event:
    return Event("delete", KeyValue(key, mod_revision=revision))


async def test_members_sessions_and_the_leader_come_and_go() -> None:
    view, own = View(KEYS), KEYS.own("local", "x")
    view.reset([kept(KEYS.node("a"), MEMBER, 3), kept(KEYS.leader, b"a", 4)], 5)
    assert (view.member("a"), view.leader, view.revision) == (MEMBER, "a", 5)
    view.apply([put(own, OWNED, 6)], 6)
    assert (view.owned[own].value, view.owned[own].created) == (OWNED, 6)
    view.apply([gone(KEYS.node("a"), 7), gone(own, 7), gone(KEYS.leader, 7)], 7)
    assert (view.member("a"), view.owned, view.leader) == (None, {}, None)


async def test_all_that_was_there_is_forgotten_where_it_is_looked_at_anew() -> None:
    view = View(KEYS)
    view.reset([kept(KEYS.node("a"), MEMBER, 3)], 3)
    view.reset([], 9)
    assert (view.members, view.revision) == ({}, 9)


async def test_what_no_node_has_written_is_told_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    view = View(KEYS)
    with caplog.at_level(logging.ERROR):
        view.apply([put(KEYS.node("a"), b"\xff{", 2), put(KEYS.own("", ""), {"node": 1}, 2)], 2)
    assert (view.members, view.owned) == ({}, {})
    assert len(caplog.records) == 2


async def test_who_waits_for_a_revision_is_woken_when_it_is_reached() -> None:
    view, reached = View(KEYS), []

    async def wait(revision: int) -> None:
        await view.reached(revision)
        reached.append(revision)

    async with trio.open_nursery() as nursery:
        for revision in (3, 5):
            nursery.start_soon(wait, revision)
        await trio.testing.wait_all_tasks_blocked()
        view.apply([], 4)
        await trio.testing.wait_all_tasks_blocked()
        assert reached == [3]
        view.apply([], 5)
    assert reached == [3, 5]


def test_names_of_two_owners_have_keys_of_their_own() -> None:
    assert KEYS.own("a", "b") != KEYS.own("b", "a")
    assert KEYS.own("a", "b") != Keys("other").own("a", "b")
    assert KEYS.own("a", "x" * 128).startswith(KEYS.owned)


async def test_a_session_that_was_given_up_by_a_node_that_is_there_is_about_to_be_had_by_another() -> None:
    view, own = View(KEYS), KEYS.own("local", "x")
    other = KEYS.own("local", "y")
    view.reset([kept(KEYS.node("a"), MEMBER, 3), kept(own, OWNED, 4), kept(other, OWNED, 4)], 5)
    before = trio.current_time()
    view.apply([gone(own, 6)], 6)
    assert before <= view.freed_at(own, "b") <= trio.current_time()
    assert view.freed_at(own, "a") == -math.inf  # as that one knows
    view.apply([put(own, OWNED, 7)], 7)
    assert view.freed_at(own, "b") == -math.inf
    view.apply([gone(own, 8)], 8)
    view.apply([gone(KEYS.node("a"), 9), gone(other, 9)], 9)  # it was lost with its node
    assert view.freed_at(own, "b") >= before
    assert view.freed_at(other, "b") == -math.inf
