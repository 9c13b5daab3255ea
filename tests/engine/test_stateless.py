"""Executions without sessions: each in a fresh worker, remembered for a while."""

from __future__ import annotations

import pytest
from engines import OWNER

from engine.errors import InvalidField, KeyReused, NotFound
from engine.search import Search


async def test_each_execution_starts_from_nothing(open_engine):
    async with open_engine(None) as engine:
        assert await engine.value("globalThis.n = 1; n") == "1"
        report = await engine.run("typeof n")
        assert (report.result, report.session, report.event, report.heap) == ("'undefined'", None, None, None)


async def test_limits_and_failures_are_the_same_as_in_sessions(open_engine):
    async with open_engine(None) as engine:
        assert (await engine.run("while (true);", time_ms=200)).status == "timed_out"
        assert (await engine.run("new ArrayBuffer(1e9)")).status == "out_of_memory"
        assert (await engine.run("throw new Error('x')")).error.message == "x"
        assert (await engine.run("(function f() { f() })()")).error.name == "StackOverflow"


async def test_a_session_or_a_heap_is_refused(open_engine):
    async with open_engine(None) as engine:
        for options in ({"session": "a"}, {"heap": "0" * 64}):
            with pytest.raises(InvalidField):
                await engine.run("1", **options)


async def test_an_outcome_can_be_asked_for_and_a_key_runs_once(open_engine):
    async with open_engine(None) as engine:
        report = await engine.run("Math.random()", idempotency_key="k", request_hash="h")
        assert (await engine.supervisor.executions.find(OWNER, report.execution_id)).report == report
        assert (await engine.run("Math.random()", idempotency_key="k", request_hash="h")) == report
        with pytest.raises(KeyReused):
            await engine.run("2", idempotency_key="k", request_hash="other")
        with pytest.raises(NotFound):
            await engine.supervisor.executions.find("somebody else", report.execution_id)


async def test_what_is_remembered_can_be_searched_for(open_engine):
    async with open_engine(None) as engine:
        first = await engine.run("console.log('a Needle'); 1")
        second = await engine.run("throw new Error('needle')")
        third = await engine.run("'needle'")

        async def found(**wanted):
            page = await engine.supervisor.executions.page(OWNER, search=Search(**wanted))
            return [one.execution_id for one in page.items]

        assert await found(text="needle") == [third.execution_id, second.execution_id]
        assert await found(text="NEEDLE", ignore_case=True, until=third.started_at) == [
            second.execution_id,
            first.execution_id,
        ]
        assert await found(caller="PYTEST", since=second.started_at, text="Error: needle") == [
            second.execution_id
        ]
        assert await found(caller="nobody") == []
