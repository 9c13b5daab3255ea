"""Lists that come in pages, as one, read no further than they are asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from msgspec import Struct

from cli.target.client import Client, Query
from cli.target.failures import Refused
from transports.rest.shapes import (
    EventAnswer,
    EventsAnswer,
    ExecutionsAnswer,
    ListedExecution,
    SessionAnswer,
    SessionsAnswer,
)

PAGE = 200
"""Entries that are asked for at once."""


class Damaged(Struct, frozen=True):
    """What is in the place of an event that cannot be read."""

    event: int
    error: str
    """A sentence: why."""
    type: Literal["damaged"] = "damaged"


async def session(client: Client, name: str) -> SessionAnswer:
    """The session of that name. Raises Refused, Failed."""
    return await client.ask(SessionAnswer, "GET", f"/api/sessions/{name}")


async def sessions(
    client: Client, query: Query, most: int | None = None
) -> AsyncGenerator[SessionAnswer, None]:
    """The sessions of one owner, last used first, about ``most`` at a time. Raises Refused, Failed."""
    after: str | None = None
    while True:
        asked = {**query, "limit": min(PAGE, most or PAGE), "after": after}
        page = await client.ask(SessionsAnswer, "GET", "/api/sessions", asked)
        for one in page.sessions:
            yield one
        if (after := page.next) is None:
            return


async def events(client: Client, name: str, first: int, last: int) -> AsyncGenerator[EventAnswer, None]:
    """The events ``first`` to ``last``, in order; fewer where there are fewer. Raises Refused, Failed."""
    while first <= last:
        asked = {"first": first, "limit": min(PAGE, last - first + 1)}
        page = await client.ask(EventsAnswer, "GET", f"/api/sessions/{name}/events", asked)
        for one in page.events:
            yield one
        if not page.events:
            return
        first = page.events[-1].event + 1


async def readable(
    client: Client, name: str, first: int, last: int
) -> AsyncGenerator[EventAnswer | Damaged, None]:
    """The same, with Damaged in the place of what cannot be read. Raises Refused, Failed."""
    while first <= last:
        try:
            async with aclosing(events(client, name, first, last)) as found:
                async for one in found:
                    yield one
                    first = one.event + 1
                return
        except Refused as refused:
            if not refused.is_of_store:
                raise
        # a page cannot begin behind one that is missing, but an event can be had by its number
        yield await _by_number(client, name, first)
        first += 1


async def _by_number(client: Client, name: str, number: int) -> EventAnswer | Damaged:
    try:
        return await client.ask(EventAnswer, "GET", f"/api/sessions/{name}/events/{number}")
    except Refused as refused:
        if not refused.is_of_store:
            raise
        why = refused.sentence.rpartition(f"event {number}: ")[2]
        return Damaged(number, why)


async def readable_backwards(
    client: Client, name: str, first: int, last: int
) -> AsyncGenerator[EventAnswer | Damaged, None]:
    """The same, the last one first."""
    while first <= last:
        start = max(first, last - PAGE + 1)
        page = [one async for one in readable(client, name, start, last)]
        for one in reversed(page):
            yield one
        last = start - 1


async def executions(client: Client, query: Query) -> AsyncGenerator[ListedExecution, None]:
    """The executions of one owner that are like that, newest first. Raises Refused, Failed."""
    after: str | None = None
    while True:
        asked = {**query, "limit": PAGE, "after": after}
        page = await client.ask(ExecutionsAnswer, "GET", "/api/executions", asked)
        for one in page.executions:
            yield one
        if (after := page.next) is None:
            return
