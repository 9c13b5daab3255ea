"""``mcp-v8 replay --all``: every session of a store, as many at once as there are processors, or of a
server.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal

import click
import trio
from msgspec import UNSET, Struct, UnsetType

from cli.commands.replayed import Wanted, replayed, write_report
from cli.entry import INTERRUPTED
from cli.interrupts import until_interrupted
from cli.output import junit, replays
from cli.output.json import print_line
from cli.output.progress import Progress
from cli.output.quantities import counted, duration
from cli.output.styles import BAD, FAINT, GOOD, STRONG, paint
from cli.target.client import Client
from cli.target.failures import CORRUPT, DIFFERS, NOT_FOUND, Failed, Refused
from cli.target.options import Target
from engine.placement import usable
from transports.rest.lines import MAX_STREAMS
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd
from transports.rest.shapes import SessionsAnswer

MAX_KEPT = 20
"""Differences of one session that are told as JSON."""
BUSY_SECONDS = 1.0
"""Before a server that had no place for a replay is asked again."""
_PAGE = 1_000


class SessionReplay(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the replay of one session came to."""

    session: str
    owner: str | UnsetType = UNSET
    """In a store, whose it is."""
    verdict: Literal["agrees", "differs", "failed", "unreadable"]
    """Of these, failed: an event ended every process; unreadable: it could not be replayed, see error."""
    executions: int = 0
    different: int = 0
    drift: int = 0
    failed_event: int | None = None
    differences: list[ReplayedEvent] = []
    """The first of these."""
    error: str | None = None
    seconds: float


class Session(Struct):
    """One session, before and after its replay."""

    client: Client
    name: str
    events: int
    """About how many it has."""
    replay: replays.Replay
    kept: list[ReplayedEvent] = []
    ran: int = 0
    end: ReplayEnd | None = None
    fault: Failed | None = None
    is_gone: bool = False
    """Whether it was deleted before its turn came."""
    seconds: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether its replay has ended."""
        return self.end is not None or self.fault is not None

    @property
    def agrees(self) -> bool:
        """Whether that was as recorded."""
        return self.end is not None and self.end.agrees


async def replay_all(target: Target, *, strict: bool, report: Path | None, as_json: bool) -> int:
    """Replay all sessions; the exit status."""
    async with target.clients() as clients:
        sessions = [session async for session in _sessions(clients)]
        at_once = 1 if target.url is not None else min(usable(None), MAX_STREAMS)
        # (a server has one place for an owner)
        return await Replays(
            sessions, at_once, strict=strict, report=report, as_json=as_json, several=len(clients) > 1
        ).run()


async def _sessions(clients: Sequence[Client]) -> AsyncIterator[Session]:
    for client in clients:
        after: str | None = None
        while True:
            page = await client.ask(SessionsAnswer, "GET", "/api/sessions", {"limit": _PAGE, "after": after})
            for one in page.sessions:
                yield Session(client, one.session, one.events, replays.Replay.begin(one.session, 0))
            after = page.next
            if after is None:
                break


class Replays:
    """The replays of some sessions, so many at once."""

    def __init__(
        self,
        sessions: list[Session],
        at_once: int,
        *,
        strict: bool,
        report: Path | None,
        as_json: bool,
        several: bool,
    ) -> None:
        self._sessions, self._at_once = sessions, at_once
        self._strict, self._report, self._as_json = strict, report, as_json
        self._has_owners = several
        self._progress = Progress("replaying", sum(session.events for session in sessions), "events")
        self._past = 0
        """Events of sessions that are over."""

    async def run(self) -> int:
        """Their exit status."""
        began = time.monotonic()
        # the longest first: none of them is left to run alone at the end
        waiting = sorted(self._sessions, key=lambda session: -session.events)[::-1]
        with self._progress:
            async with until_interrupted() as scope, trio.open_nursery() as nursery:
                for _ in range(min(self._at_once, len(waiting))):
                    nursery.start_soon(self._work, waiting)
        seconds = time.monotonic() - began
        if not self._as_json:
            self._tell(seconds, interrupted=scope.cancelled_caught)
        if scope.cancelled_caught:
            return INTERRUPTED
        if self._report is not None:
            cases = [self._case(one) for one in self._sessions if not one.is_gone]
            write_report(self._report, cases, seconds)
        faults = [one.fault for one in self._sessions if one.fault is not None and not one.is_gone]
        if any(fault.status == CORRUPT for fault in faults):
            return CORRUPT
        return 0 if all(one.agrees or one.is_gone for one in self._sessions) else DIFFERS

    async def _work(self, waiting: list[Session]) -> None:
        while waiting:
            session = waiting.pop()
            began = time.monotonic()
            await self._replay(session)
            session.seconds = time.monotonic() - began
            self._past += session.events - session.ran
            self._progress.clear()
            if self._as_json:
                if not session.is_gone:
                    print_line(self._struct(session))
            else:
                click.echo(self._line(session))

    async def _replay(self, session: Session) -> None:
        """Run it; what is wrong with it is kept."""

        async def hear(event: ReplayedEvent) -> None:
            session.ran += 1
            self._past += 1
            session.replay.hear(event)
            if not event.agrees and len(session.kept) < MAX_KEPT:
                session.kept.append(event)
            self._progress.at(self._past)

        wanted = Wanted(session.name, 0, None, self._strict)
        while True:
            try:
                session.end = await replayed(session.client, wanted, hear)
            except Refused as refused:
                if refused.code == "busy" and not session.ran:
                    await trio.sleep(BUSY_SECONDS)
                    continue
                session.fault = refused
                session.is_gone = refused.status == NOT_FOUND
            except Failed as failed:
                session.fault = failed
            return

    def _named(self, session: Session) -> str:
        return f"{session.client.owner}/{session.name}" if self._has_owners else session.name

    def _line(self, session: Session) -> str:
        """What it came to, in a line."""
        name = paint(self._named(session), STRONG)
        if session.is_gone:
            return f"{name}: {paint('was deleted meanwhile', FAINT)}"
        if session.end is None:
            assert session.fault is not None
            return f"{name}: {paint(session.fault.sentence, BAD)}"
        return (
            f"{name}: {replays.verdict(session.end)}{paint(f'  {duration(session.seconds * 1_000)}', FAINT)}"
        )

    def _tell(self, seconds: float, *, interrupted: bool) -> None:
        """What all came to: those that failed again, with what differs first, and the sum."""
        over = [one for one in self._sessions if one.is_over and not one.is_gone]
        failed = [one for one in over if not one.agrees]
        if failed:
            click.echo()
        for one in failed:
            click.echo(self._line(one))
            if one.kept:
                click.echo(f"  {replays.event_line(one.name, one.kept[0])}")
                click.echo("\n".join(f"  {line}" for line in replays.difference(one.kept[0])))
            if one.end is not None:
                for line in replays.advice(one.replay, one.end, strict=self._strict):
                    click.echo(paint(f"  {line}", FAINT))
        ran = sum(one.ran for one in self._sessions)
        agreeing = paint(f"{len(over) - len(failed):,}/{len(over):,} sessions agree", BAD if failed else GOOD)
        pace = f"{counted(ran, 'event')} in {duration(seconds * 1_000)}, {ran / max(seconds, 1e-3):,.0f}/s"
        click.echo(f"{agreeing}  {paint(pace, FAINT)}")
        if interrupted:
            left = counted(len(self._sessions) - len(over), "session was", "sessions were")
            click.echo(f"mcp-v8: interrupted: {left} not replayed to the end", err=True)

    def _struct(self, session: Session) -> SessionReplay:
        end, fault = session.end, session.fault
        common = {
            "session": session.name,
            "owner": session.client.owner or UNSET,
            "differences": session.kept,
            "seconds": round(session.seconds, 3),
        }
        if end is None:
            assert fault is not None
            return SessionReplay(verdict="unreadable", error=fault.sentence, **common)  # type: ignore[arg-type]
        return SessionReplay(
            verdict="failed" if end.failed_event is not None else "agrees" if end.agrees else "differs",
            executions=end.executions,
            different=end.different,
            drift=end.drift,
            failed_event=end.failed_event,
            **common,  # type: ignore[arg-type]
        )

    def _case(self, session: Session) -> junit.Case:
        failure = error = None
        if session.fault is not None:
            error = session.fault.sentence
        elif session.end is not None and not session.end.agrees:
            lines = [line for one in session.kept for line in _lines_of(session, one)]
            lines += replays.advice(session.replay, session.end, strict=self._strict)
            failure = click.unstyle(replays.verdict(session.end)), click.unstyle("\n".join(lines))
        return junit.Case(
            group=session.client.owner or "sessions",
            name=session.name,
            seconds=session.seconds,
            failure=failure,
            error=error,
        )


def _lines_of(session: Session, event: ReplayedEvent) -> list[str]:
    return [replays.event_line(session.name, event), *replays.difference(event)]
