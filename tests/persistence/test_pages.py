"""Reading takes bounded memory, whatever the number and size of the records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from log_samples import History

from persistence.reader import PAGE_BYTES, PAGE_RECORDS, Walk
from persistence.schema import DATABASE_NAME
from persistence.sqlite import open_sqlite_log


async def page_lengths(directory: Path, history: History) -> list[int]:
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        return list(_lengths(db, history.session))


def _lengths(db: sqlite3.Connection, session: str) -> Iterator[int]:
    walk = Walk(db, session, 0, None)
    while page := walk.page(db):
        walk.passed(page)
        yield len(page)


async def test_small_records_come_in_pages_of_a_number(directory: Path) -> None:
    history = History()
    history.created()
    for _ in range(PAGE_RECORDS * 2):
        history.tagged()
    assert await page_lengths(directory, history) == [PAGE_RECORDS, PAGE_RECORDS, 1]


async def test_large_records_come_in_pages_of_a_size(directory: Path) -> None:
    history = History()
    history.created()
    for _ in range(5):
        history.executed(code="x" * (PAGE_BYTES // 2))
    assert await page_lengths(directory, history) == [3, 2, 1]
