"""Lists of sessions and executions, a page at a time, from the log's indexes."""

from __future__ import annotations

from pathlib import Path

import pytest
from log_samples import History, every_kind

from engine.errors import InvalidField
from persistence import listing
from persistence.eventlog import SessionDetails
from persistence.sqlite import SqliteEventLog, open_sqlite_log


async def codes(log: SqliteEventLog, limit: int, **options: str | None) -> list[str]:
    """The execution ids of all pages."""
    found, after = [], None
    while True:
        page = await log.executions("ann", limit=limit, after=after, **options)
        assert len(page.items) <= limit
        found += [record.event.execution_id for record in page.items]
        after = page.next
        if after is None:
            return found


async def test_executions_are_listed_newest_first_whatever_their_session(log: SqliteEventLog) -> None:
    histories = [History("s1"), History("s2"), History("b1", owner="bob")]
    for history in histories:
        await log.append([history.created()])
    for _ in range(3):
        for history in histories:
            fields = {"owner": history.owner}
            await log.append([history.executed(**fields)])
            await log.append([history.aborted(**fields)])
    expected = [
        f"e_{session}_{seq}" for last in (6, 4, 2) for session in ("s2", "s1") for seq in (last, last - 1)
    ]
    for limit in (1, 2, 5, 100):
        assert await codes(log, limit) == expected
        assert await codes(log, limit, session="s1") == [f"e_s1_{seq}" for seq in range(6, 0, -1)]
        assert await codes(log, limit, status="timed_out") == [
            f"e_{session}_{seq}" for seq in (6, 4, 2) for session in ("s2", "s1")
        ]
        assert await codes(log, limit, session="s2", status="completed") == ["e_s2_5", "e_s2_3", "e_s2_1"]
    assert await codes(log, 9, session="b1") == []
    assert await codes(log, 9, status="crashed") == []


async def test_executions_of_closed_sessions_are_not_listed(log: SqliteEventLog) -> None:
    history, fork = every_kind()
    await log.append(history.records[:-1])
    await log.append(fork.records)
    assert await codes(log, 2) == ["e_s2_6", "e_s1_4", "e_s1_2", "e_s1_1"]
    await log.append(history.records[-1:])
    assert await codes(log, 2) == ["e_s2_6"]
    assert await codes(log, 2, session="s1") == []


async def test_a_page_of_executions_is_bounded_in_bytes(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_BYTES", 10_000)
    history = History()
    await log.append([history.created(), *(history.executed(code=f"{'x' * 6_000}{n}") for n in range(5))])
    page = await log.executions("ann", limit=100)
    assert len(page.items) == 2
    assert page.next is not None
    assert await codes(log, 100) == [f"e_s1_{seq}" for seq in range(5, 0, -1)]


async def test_sessions_are_listed_a_page_at_a_time_also_those_of_one_moment(log: SqliteEventLog) -> None:
    for number in range(7):
        await log.append([History(f"s{number}").created()])  # all at the same time
    found, after = [], None
    while True:
        page = await log.sessions("ann", limit=3, after=after)
        found.append([row.session for row in page.items])
        after = page.next
        if after is None:
            break
    assert found == [["s0", "s1", "s2"], ["s3", "s4", "s5"], ["s6"]]


async def test_a_made_up_cursor_is_refused(log: SqliteEventLog) -> None:
    for after in ("", "x", "1.2.3", "1.", "-1", "١"):
        with pytest.raises(InvalidField):
            await log.sessions("ann", limit=1, after=after)
        with pytest.raises(InvalidField):
            await log.executions("ann", limit=1, after=after)


async def test_a_label_with_colons_is_found_by_its_key_and_by_key_and_value(log: SqliteEventLog) -> None:
    history = History()
    await log.append([history.created(), history.executed(), history.tagged(0, **{"a:b": "c:d"})])
    for tag, there in (
        ("a:b", True),
        ("a:b:c:d", True),
        ("a", False),
        ("a:b:c", False),
        ("a:b:", False),
        (":", False),
    ):
        assert bool((await log.sessions("ann", limit=9, tag=tag)).items) is there


async def test_labels_follow_the_events(log: SqliteEventLog) -> None:
    history = History()
    await log.append([history.created(), history.executed(), history.tagged(0, a="1", b="2")])
    await log.append([history.tagged(1, a="3"), history.tagged(0, a=None, b="4", never=None)])
    assert (await log.details(["s1", "s0"]))["s1"] == SessionDetails(
        forked_from=None, tags={0: {"b": "4"}, 1: {"a": "3"}}
    )
    for tag, there in (
        ("a", True),
        ("a:3", True),
        ("a:1", False),
        ("never", False),
    ):
        assert bool((await log.sessions("ann", limit=9, tag=tag)).items) is there
        assert not (await log.sessions("bob", limit=9, tag=tag)).items
    await log.append([history.closed()])
    assert (await log.details(["s1"]))["s1"].tags == {}


async def test_so_many_labels_of_a_session_are_read_as_are_asked_for(log: SqliteEventLog) -> None:
    history = History()
    await log.append([history.created(), history.tagged(0, a="1", b="2", c="3")])
    for most, keys in ((2, "ab"), (3, "abc"), (4, "abc")):
        details = (await log.details(["s1"], most_tags=most))["s1"]
        assert ("".join(details.tags[0]), details.more_tags) == (keys, most < 3)


async def test_a_label_whose_append_was_refused_is_not_there(log: SqliteEventLog) -> None:
    history = History()
    await log.append([history.created()])
    tagged, executed = history.tagged(0, a="1"), history.executed()
    history.undo()
    with pytest.raises(Exception, match="does not follow"):
        await log.append([tagged, tagged])
    with pytest.raises(Exception, match="does not follow"):
        await log.append([executed])
    assert (await log.details(["s1"]))["s1"].tags == {}


async def test_a_fork_names_its_parent_and_the_event(log: SqliteEventLog) -> None:
    history, fork = every_kind()
    await log.append(history.records)
    await log.append(fork.records)
    details = await log.details(["s1", "s2"])
    assert details["s1"].forked_from is None
    assert details["s2"].forked_from == ("s1", 4)


async def test_lists_are_the_same_after_a_restart(directory: Path) -> None:
    history, fork = every_kind()
    async with open_sqlite_log(directory) as log:
        await log.append(history.records[:-1])
        await log.append(fork.records)
        before = [await log.details(["s1", "s2"]), await codes(log, 2), await log.sessions("ann", limit=9)]
    async with open_sqlite_log(directory) as log:
        assert before == [
            await log.details(["s1", "s2"]),
            await codes(log, 2),
            await log.sessions("ann", limit=9),
        ]
