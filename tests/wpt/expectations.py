"""Which subtests fail, and why: expectations.toml, read and compared with what a run came to."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from msgspec import Struct, convert

from wpt.runner import Case, Result

_ALL = ".*"
_FILE = Path(__file__).parent / "expectations.toml"


class Expectation(Struct, frozen=True, forbid_unknown_fields=True):
    """Subtests that fail, or do not count, for one reason."""

    reason: str
    cases: tuple[str, ...]
    """Patterns of the cases' names, each of which has to match somewhere."""
    tests: tuple[str, ...] = (_ALL,)
    """Patterns of whole names of subtests."""

    def concerns(self, case: Case) -> bool:
        """Whether it says something of that case."""
        return any(re.fullmatch(pattern, case.name) for pattern in self.cases)


class Expectations(Struct, frozen=True, forbid_unknown_fields=True):
    """All of the file."""

    skip: tuple[Expectation, ...]
    fail: tuple[Expectation, ...]

    def skipped(self, case: Case) -> bool:
        """Whether the case is not run at all."""
        return any(each.concerns(case) and each.tests == (_ALL,) for each in self.skip)

    def counted(self, case: Case, results: Iterable[Result]) -> list[Result]:
        """The results without those of skipped subtests."""
        patterns = [pattern for each in self.skip if each.concerns(case) for pattern in each.tests]
        return [result for result in results if not _matching(patterns, result)]


@cache
def load() -> Expectations:
    """The file's contents."""
    return convert(tomllib.loads(_FILE.read_text("utf-8")), type=Expectations)


def surprises(case: Case, results: Iterable[Result]) -> list[str]:
    """Of the results that count, what differs from the expectations: failures, passes, and patterns that no subtest has."""
    patterns = [p for expectation in load().fail if expectation.concerns(case) for p in expectation.tests]
    unused = set(patterns)
    found = []
    for result in results:
        matching = _matching(patterns, result)
        unused -= matching
        if result.status == "pass" and matching:
            found.append(f"passes now: {result.name}")
        if result.status != "pass" and not matching:
            found.append(f"{result.status}: {result.name}: {result.message}")
    return found + [f"there is no such subtest: {pattern}" for pattern in sorted(unused)]


def _matching(patterns: Iterable[str], result: Result) -> set[str]:
    return {pattern for pattern in patterns if re.fullmatch(pattern, result.name, re.DOTALL)}
