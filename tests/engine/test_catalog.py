"""What can be asked about sessions, their events and executions."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from engines import CALLER, OWNER, Engine, both_stores, first_line, submission

from engine import looking
from engine.catalog import Page
from engine.errors import InvalidField, NotFound
from engine.events import Created, Executed, Forked
from engine.execution import Status
from engine.search import Search
from persistence.queries import READERS


async def pages(ask, **options):
    """All items, a page at a time, and how many pages there were."""
    items, after, count = [], None, 0
    while True:
        page = await ask(OWNER, after=after, **options)
        items += page.items
        count += 1
        after = page.next
        if after is None:
            return items, count


async def test_sessions_come_last_used_first_a_page_at_a_time(engine: Engine):
    for name in ("a", "b", "c", "a"):
        await engine.run("1", session=name)
    sessions, count = await pages(engine.supervisor.sessions, limit=2)
    assert [session.name for session in sessions] == ["a", "c", "b"]
    assert count == 2


async def test_a_session_is_described(engine: Engine):
    first = await engine.run("let n = 1", session="a")
    failed = await engine.run("while (true);", session="a", time_ms=50)
    info = await engine.supervisor.session(OWNER, "a")
    assert (info.name, info.head_seq, info.state_seq, info.events) == ("a", 2, 1, 3)
    assert (info.heap, info.heap) == (first.heap, failed.heap)
    assert (info.awake, info.running, info.status, info.forked_from, info.tags) == (False, 0, "ok", None, {})
    assert info.created_at <= first.started_at <= info.last_at == failed.started_at
    await engine.run("n", session="a")
    assert (await engine.supervisor.session(OWNER, "a")).awake


async def test_a_session_that_works_says_how_much_is_asked_of_it(engine: Engine):
    await engine.run("1", session="a")
    loop = await engine.supervisor.executions.submit(submission("console.log(1); for (;;);", session="a"))
    await first_line(loop)
    await engine.supervisor.executions.submit(submission("2", session="a"))
    info = await engine.supervisor.session(OWNER, "a")
    assert (info.awake, info.running) == (True, 2)
    loop.cancel()


async def test_what_is_anothers_is_not_there(engine: Engine):
    await engine.run("1", session="a")
    supervisor, stranger = engine.supervisor, "somebody else"
    assert (await supervisor.sessions(stranger)).items == ()
    assert (await supervisor.executions.page(stranger)).items == ()
    for ask in (
        lambda name: supervisor.session(stranger, name),
        lambda name: supervisor.events(stranger, name),
        lambda name: supervisor.event(stranger, name, 0),
        lambda name: supervisor.executions.page(stranger, session=name),
        lambda name: supervisor.requests.delete(stranger, name, CALLER),
        lambda name: supervisor.requests.fork(stranger, name, at=None, into=None, caller=CALLER),
        lambda name: supervisor.requests.fork(stranger, name, at=0, into=None, caller=CALLER),
        lambda name: supervisor.requests.tag(stranger, name, at=None, tags={"k": "v"}, caller=CALLER),
        lambda name: supervisor.requests.state(stranger, name, at=None),
        lambda name: supervisor.requests.state(stranger, name, at=0),
    ):
        for name in ("a", "never"):
            with pytest.raises(NotFound):
                await ask(name)


async def test_events_are_numbered_through_across_forks(engine: Engine):
    for number in range(3):
        await engine.run(f"let v{number} = {number}", session="a")
    fork = await engine.run("v0 + 10", session="a", at=2)
    await engine.run("v1 + 20", session=fork.session)
    page = await engine.supervisor.events(OWNER, fork.session)
    events = [record.event for record in page.items]
    assert [event.seq for event in events] == list(range(6))
    assert [type(event) for event in events] == [Created, Executed, Executed, Forked, Executed, Executed]
    assert [event.code for event in events if isinstance(event, Executed)][2:] == ["v0 + 10", "v1 + 20"]
    assert page.next is None
    for before, after in zip(page.items, page.items[1:], strict=False):
        assert after.prev == before.id


async def test_events_come_in_pages_that_name_the_next_number(engine: Engine):
    for number in range(4):
        await engine.run(str(number), session="a")
    fork = await engine.run("5", session="a", at=3)
    found, first = [], 1
    while True:
        page = await engine.supervisor.events(OWNER, fork.session, first=first, limit=2)
        found += [record.event.seq for record in page.items]
        if page.next is None:
            break
        first = int(page.next)
    assert found == [1, 2, 3, 4, 5]
    assert (await engine.supervisor.events(OWNER, "a", first=99)) == Page(())


async def test_a_page_of_events_is_bounded_in_bytes(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.catalog.PAGE_BYTES", 6_000)
    for _ in range(4):
        await engine.run(f"'{'x' * 4_000}'.length", session="a")
    page = await engine.supervisor.events(OWNER, "a")
    assert (len(page.items), page.next) == (3, "3")


async def test_one_event_is_found_in_an_ancestor_too(engine: Engine):
    await engine.run("1 + 1", session="a")
    fork = await engine.run("3", session="a", at=0)
    record = await engine.supervisor.event(OWNER, fork.session, 0)
    assert isinstance(record.event, Created)
    assert (await engine.supervisor.event(OWNER, "a", 1)).event.code == "1 + 1"
    for seq in (-1, 2):
        with pytest.raises(NotFound):
            await engine.supervisor.event(OWNER, "a", seq)


async def test_a_number_before_a_fork_names_the_state_that_the_fork_had_then(engine: Engine):
    for number in range(4):
        await engine.run(f"globalThis.n = {number + 1}", session="a")
    fork = await engine.run("n", session="a", at=3)
    assert await engine.value("n", session=fork.session, at=2) == "2"


async def test_executions_come_newest_first_a_page_at_a_time(engine: Engine):
    for number in range(3):
        await engine.run(f"{number}", session="a")
        await engine.run(f"{number} + 10", session="b")
    everything, count = await pages(engine.supervisor.executions.page, limit=4)
    assert [summary.code for summary in everything] == ["2 + 10", "2", "1 + 10", "1", "0 + 10", "0"]
    assert count == 2
    of_one, count = await pages(engine.supervisor.executions.page, limit=2, session="a")
    assert [(summary.session, summary.event, summary.code) for summary in of_one] == [
        ("a", 3, "2"),
        ("a", 2, "1"),
        ("a", 1, "0"),
    ]
    assert count == 2


async def test_an_execution_is_summed_up(engine: Engine):
    report = await engine.run("\n\n  throw new TypeError('no')\n// more", session="a")
    (summary,) = (await engine.supervisor.executions.page(OWNER)).items
    assert (summary.execution_id, summary.status, summary.code, summary.error) == (
        report.execution_id,
        "failed",
        "throw new TypeError('no')",
        "TypeError: no",
    )
    assert (summary.started_at, summary.duration_us) == (report.started_at, report.duration_us)
    await engine.run(f"/*{'x' * 500}*/ throw new Error('{'y' * 500}')", session="a")
    summary = (await engine.supervisor.executions.page(OWNER, limit=1)).items[0]
    assert (len(summary.code), len(summary.error)) == (120, 200)


async def test_executions_are_found_by_status(engine: Engine):
    ran: dict[Status, str] = {}
    for code in ("1", "throw 1", "for (;;);", "(function f() { f() })()"):
        report = await engine.run(code, session="a", time_ms=100)
        ran[report.status] = report.execution_id
    assert set(ran) == {"completed", "failed", "timed_out"}
    for options in ({}, {"session": "a"}):
        for status, execution_id in ran.items():
            page = await engine.supervisor.executions.page(OWNER, status=status, **options)
            assert page.items[0].execution_id == execution_id
            assert {summary.status for summary in page.items} == {status}
    assert len((await engine.supervisor.executions.page(OWNER, status="failed")).items) == 2
    assert (await engine.supervisor.executions.page(OWNER, status="crashed")).items == ()


async def test_what_runs_or_waits_is_listed_first(engine: Engine):
    done = await engine.run("'done'", session="a")
    loop = await engine.supervisor.executions.submit(submission("console.log(1); for (;;);", session="a"))
    await first_line(loop)
    queued = await engine.supervisor.executions.submit(submission("'queued'", session="a"))
    ids = [queued.id, loop.id, done.execution_id]
    for options in ({}, {"session": "a"}):
        for limit in (1, 2, 3):
            listed, _ = await pages(engine.supervisor.executions.page, limit=limit, **options)
            assert [summary.execution_id for summary in listed] == ids
            assert [summary.status for summary in listed] == ["running", "running", "completed"]
    running = await engine.supervisor.executions.page(OWNER, status="running")
    assert [summary.execution_id for summary in running.items] == ids[:2]
    loop.cancel()


async def test_an_execution_that_creates_its_session_is_listed_by_the_sessions_name(engine: Engine):
    loop = await engine.supervisor.executions.submit(submission("console.log(1); for (;;);", session="new"))
    await first_line(loop)
    (summary,) = (await engine.supervisor.executions.page(OWNER, session="new")).items
    assert (summary.execution_id, summary.session, summary.event) == (loop.id, "new", None)
    loop.cancel()


async def test_a_made_up_cursor_or_limit_is_refused(engine: Engine):
    await engine.run("1", session="a")
    for after in ("", "x", "d1.5", "d٣", "r1", "1.", "999999999999999999999.i_x"):
        with pytest.raises(InvalidField, match="after"):
            await engine.supervisor.executions.page(OWNER, after=after)
        with pytest.raises(InvalidField, match="after"):
            await engine.supervisor.sessions(OWNER, after=after)
    with pytest.raises(InvalidField, match="limit"):
        await engine.supervisor.sessions(OWNER, limit=0)


@both_stores
async def test_a_restarted_engine_lists_the_same(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("1", session="a")
        await engine.run("2", session="a", at=0)
        before = [await engine.supervisor.sessions(OWNER), await engine.supervisor.executions.page(OWNER)]
    async with open_engine(tmp_path) as engine:
        after = [await engine.supervisor.sessions(OWNER), await engine.supervisor.executions.page(OWNER)]
    assert [item.name for item in before[0].items] == [item.name for item in after[0].items]
    assert before[1] == after[1]


async def test_a_stateless_engine_lists_executions_from_memory_and_has_no_sessions(open_engine):
    async with open_engine(None) as engine:
        first = await engine.run("1")
        second = await engine.run("throw 2")
        loop = await engine.supervisor.executions.submit(submission("console.log(1); for (;;);"))
        await first_line(loop)
        listed, count = await pages(engine.supervisor.executions.page, limit=2)
        assert [summary.execution_id for summary in listed] == [
            loop.id,
            second.execution_id,
            first.execution_id,
        ]
        assert [summary.status for summary in listed] == ["running", "failed", "completed"]
        assert count == 2
        loop.cancel()
        supervisor = engine.supervisor
        assert (await supervisor.sessions(OWNER)).items == ()
        for asked in (
            supervisor.session(OWNER, "a"),
            supervisor.events(OWNER, "a"),
            supervisor.event(OWNER, "a", 0),
            supervisor.executions.page(OWNER, session="a"),
        ):
            with pytest.raises(InvalidField, match="stateless"):
                await asked
        for part in ("requests", "past", "store", "peers", "handing"):
            with pytest.raises(InvalidField, match="stateless"):
                getattr(supervisor, part)


async def test_lists_can_be_asked_for_while_sessions_work(engine: Engine):
    """Executions may move from memory to the log between two pages: none is missed."""
    ran = []

    async def work(name: str) -> None:
        ran.extend([(await engine.run(str(number), session=name)).execution_id for number in range(10)])

    async with trio.open_nursery() as nursery:
        for name in ("a", "b", "c"):
            nursery.start_soon(work, name)
        while len(ran) < 20:
            known = set(ran)
            listed, _ = await pages(engine.supervisor.executions.page, limit=3)
            assert known <= {summary.execution_id for summary in listed}


async def test_searches_leave_readers_for_others_and_an_owners_take_turns(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
):
    assert engine.log is not None
    under_way, most = [], {"in all": 0, "of one": 0}
    executions = engine.log.executions

    async def counted(owner, **options):
        under_way.append(owner)
        most["in all"] = max(most["in all"], len(under_way))
        most["of one"] = max(most["of one"], under_way.count(owner))
        page = await executions(owner, **options)
        under_way.remove(owner)
        return page

    monkeypatch.setattr(engine.log, "executions", counted)
    search = partial(engine.supervisor.executions.page, search=Search(text="x"))
    async with trio.open_nursery() as nursery:
        for number in range(16):
            nursery.start_soon(search, f"owner {number % 4}")
    assert most == {"in all": looking.MAX_SEARCHES, "of one": 1}
    assert looking.MAX_SEARCHES < READERS
    assert engine.supervisor.executions._searches.taken == 0
