"""The Web Platform Tests of the APIs that sessions have; `python -m tests.wpt` prints a table of them."""

from __future__ import annotations

import isolates
import pytest

from wpt import expectations, runner

_CASES = [case for case in runner.cases() if not expectations.load().skipped(case)]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_exactly_the_expected_subtests_fail(isolate_host: isolates.Host, case: runner.Case) -> None:
    results = expectations.load().counted(case, runner.run(isolate_host, case))
    assert results
    assert expectations.surprises(case, results) == []


def test_every_expectation_concerns_a_case() -> None:
    everything = expectations.load()
    cases = list(runner.cases())
    for expectation in (*everything.skip, *everything.fail):
        for pattern in expectation.cases:
            only = expectations.Expectation(reason="", cases=(pattern,))
            assert any(only.concerns(case) for case in cases), pattern


def test_every_fixture_is_loaded_by_a_case() -> None:
    loaded = {file for case in _CASES for file in runner.loaded(case)}
    assert {file for file in runner.FIXTURES.rglob("*.*") if file.suffix in (".js", ".idl", ".json")} == {
        *loaded,
        runner.FIXTURES / "revisions.json",
    }
