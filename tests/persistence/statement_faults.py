"""Statements of SQLite that fail as a test has chosen."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest


class Faults:
    """Fails the statements that ``chosen`` picks, by number and text, until the end of the block.

    Such a statement is not executed; or it is, and is reported as failed nevertheless.
    """

    def __init__(
        self,
        chosen: Callable[[int, str], bool],
        *,
        executed: bool = False,
        code: int = sqlite3.SQLITE_IOERR_FSYNC,
    ) -> None:
        self.count = 0
        self.failed = 0
        self._chosen = chosen
        self._executed = executed
        self._code = code

    @contextmanager
    def __call__(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        faults = self

        class Faulty(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return faults._pass(sql, lambda: super(Faulty, self).execute(sql, *args))

            def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return faults._pass(sql, lambda: super(Faulty, self).executemany(sql, *args))

        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Faulty))
            yield
        self._chosen = lambda _number, _sql: False

    def _pass(self, sql: str, execute: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        self.count += 1
        if not self._chosen(self.count, sql):
            return execute()
        self.failed += 1
        if self._executed:
            execute()
        failure = sqlite3.OperationalError("disk I/O error (simulated)")
        failure.sqlite_errorcode = self._code
        raise failure
