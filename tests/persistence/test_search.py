"""Executions are found by what is in them, when they began, and who asked: whatever way SQLite goes."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

import pytest
import trio
from made_sessions import BEGAN, aborted, executed, make

from engine.chain import Record
from engine.events import Caller
from engine.search import Search
from persistence import search as searching
from persistence.sqlite import SqliteEventLog, open_sqlite_log

WORDS = ("alpha", "Beta", "größe", "ΣΊΣΥΦΟΣ", "a: b", "100%", "x" * 1_100, "\x00\x1b[2J", "日本", "K")
CALLERS = (
    Caller(transport="mcp", client="claude-code", client_version="2.1"),
    Caller(transport="rest", client="curl", subject="Ann"),
    Caller(transport="rest", client="long", subject="Bob " * 400),
)
SEARCHES = (
    {},
    {"text": "alpha"},
    {"text": "ALPHA", "ignore_case": True},
    {"text": "beta"},
    {"text": "beta", "ignore_case": True},
    {"text": "GRÖSSE", "ignore_case": True},
    {"text": "GRÖẞE", "ignore_case": True},
    {"text": "größe"},
    {"text": "σίσυφος", "ignore_case": True},
    {"text": "x" * 900},
    {"text": "\x00\x1b["},
    {"text": "日本"},
    {"text": "TypeError: alpha"},
    {"text": "typeerror: ALPHA", "ignore_case": True},
    {"text": "TimedOut: timed out"},
    {"text": "Uncaught Beta"},
    {"text": ": "},
    {"text": "i_"},
    {"text": "100%_"},
    {"caller": "CLAUDE"},
    {"caller": "ann"},
    {"caller": "bob bob"},
    {"since": BEGAN + 20_000_000},
    {"until": BEGAN + 20_000_000},
    {"since": BEGAN + 10_000_000, "until": BEGAN + 30_000_000, "text": "alpha", "caller": "c"},
)


def write(directory: Path) -> None:
    chance = random.Random(11)

    def events(number: int) -> list[dict[str, object]]:
        made = []
        for _ in range(number):
            word, place = chance.choice(WORDS), chance.randrange(8)
            error = {"name": chance.choice(["TypeError", "Uncaught"]), "message": word}
            what = {"caller": chance.choice(CALLERS)}
            made.append(
                [
                    executed(f"f('{word}')", **what),
                    executed("g()", input=f'"{word}"', **what),
                    executed("g()", console=[("log", "first"), ("warn", f"line {word} end")], **what),
                    executed("g()", result=f"[ {word} ]", **what),
                    executed("g()", error=error, **what),
                    executed(
                        "g()", error={**error, "stack": f"TypeError: {word}\n    at exec-1.js:1:1"}, **what
                    ),
                    aborted("for (;;);", **what),
                    aborted(word, **what),
                ][place]
            )
        return made

    for name in ("one", "two", "three"):
        make(directory, name, events(40), at=BEGAN + len(name) * 1_000)
    make(directory, "other", events(40), owner="bob")


@pytest.fixture
async def log(tmp_path: Path) -> SqliteEventLog:  # type: ignore[misc]
    await trio.to_thread.run_sync(write, tmp_path)
    async with open_sqlite_log(tmp_path) as log:
        yield log


async def pages(
    log: SqliteEventLog, limit: int, search: Search | None, **options: str | None
) -> list[Record]:
    found: list[Record] = []
    after, turns = None, 0
    while True:
        page = await log.executions("local", limit=limit, after=after, search=search, **options)
        assert len(page.items) <= limit
        found += page.items
        turns += 1
        assert turns < 1_000
        if (after := page.next) is None:
            return found


@pytest.mark.parametrize("fields", SEARCHES, ids=str)
async def test_a_search_finds_what_looking_at_every_event_finds(
    log: SqliteEventLog, fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(**fields)  # type: ignore[arg-type]
    session = (await log.session_named("local", "two")).session  # type: ignore[union-attr]
    for options in (
        {},
        {"status": "failed"},
        {"session": session},
        {"session": session, "status": "timed_out"},
    ):
        every = await pages(log, 100, None, **options)
        expected = [record.event.execution_id for record in every if search.finds(record.event)]  # type: ignore[arg-type, union-attr]
        for limit, seconds, step in ((1_000, 1.0, 256), (3, 1.0, 2), (7, 0.0, 1), (1_000, 0.0, 5)):
            monkeypatch.setattr(searching, "PAGE_SECONDS", seconds)
            monkeypatch.setattr(searching, "_FIRST_STEP", step)
            found = await pages(log, limit, search, **options)
            assert [record.event.execution_id for record in found] == expected  # type: ignore[union-attr]
    assert (await log.executions("nobody", limit=9, search=search)).items == ()


async def test_every_search_here_but_some_finds_something(log: SqliteEventLog) -> None:
    counts = [len(await pages(log, 1_000, Search(**fields))) for fields in SEARCHES]  # type: ignore[arg-type]
    nothing = [SEARCHES[place].get("text") for place, count in enumerate(counts) if count == 0]
    assert nothing == ["beta", "i_", "100%_"]


async def test_a_page_ends_after_a_while_with_nothing_and_leads_on(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "PAGE_SECONDS", 0.0)
    monkeypatch.setattr(searching, "_FIRST_STEP", 10)
    page = await log.executions("local", limit=9, search=Search(text="nowhere"))
    assert page.items == ()
    assert page.next is not None
    assert await pages(log, 9, Search(text="nowhere")) == []


async def test_a_page_of_what_is_found_is_bounded_in_bytes(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.listing.PAGE_BYTES", 2_000)
    page = await log.executions("local", limit=100, search=Search(since=0))
    assert 1 <= len(page.items) < 10
    assert len(await pages(log, 100, Search(since=0))) == 120


async def test_text_that_nearly_repeats_is_searched_in_no_time_in_whatever_case(tmp_path: Path) -> None:
    repeated = executed("g()", console=[("log", "a" * 1_000_000)])
    events = [repeated, executed(f"'{'a' * 1_000_000}'")]
    await trio.to_thread.run_sync(partial(make, tmp_path, "hard", events, at=BEGAN))
    began = time.process_time()
    async with open_sqlite_log(tmp_path) as log:
        for text in ("a" * 999 + "b", "ä" + "a" * 998 + "b"):
            assert await pages(log, 9, Search(text=text, ignore_case=True)) == []
    assert time.process_time() - began < 2  # a pattern's search takes 2 to 6 s for each of the four texts
