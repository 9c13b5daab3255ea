"""A session's events in full, each with what running it again came to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import AsyncExitStack, aclosing

from cli.target.client import Client
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd
from transports.rest.shapes import EventAnswer, EventsAnswer

PAGE = 200
"""Events that are asked for at once."""

Show = Callable[[EventAnswer, ReplayedEvent | None], None]
"""Takes an event, and its replay where it was replayed."""


async def collect(
    client: Client, session: str, first: int, last: int, *, replay: bool, show: Show
) -> ReplayEnd | None:
    """Show the events ``first`` to ``last``, in order; what the replay came to, if there is one.

    Raises Refused, Failed.
    """
    path = f"/api/sessions/{session}"
    async with AsyncExitStack() as held:
        replayed = None
        if replay:
            query = {"first": first, "last": last, "changes": True}
            lines = client.lines(ReplayedEvent, ReplayEnd, "GET", f"{path}/replay", query)
            replayed = await held.enter_async_context(lines)
        steps = await held.enter_async_context(aclosing(_each(replayed)))
        step = None
        events = await held.enter_async_context(aclosing(_events(client, path, first, last)))
        async for event in events:
            while event.type == "executed" and (step is None or step.event < event.event):
                step = await anext(steps, None)
                if step is None:
                    break
            show(event, step if step is not None and step.event == event.event else None)
        async for _ in steps:
            pass
        return None if replayed is None else replayed.end


async def _each(replayed: AsyncIterable[ReplayedEvent] | None) -> AsyncGenerator[ReplayedEvent, None]:
    if replayed is not None:
        async for step in replayed:
            yield step


async def _events(client: Client, path: str, first: int, last: int) -> AsyncGenerator[EventAnswer, None]:
    following: int | None = first
    while following is not None and following <= last:
        query = {"first": following, "limit": min(PAGE, last - following + 1), "full": True}
        page = await client.ask(EventsAnswer, "GET", f"{path}/events", query)
        for event in page.events:
            yield event
        following = page.next
