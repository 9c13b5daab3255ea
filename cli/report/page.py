"""The page: a head that sums up, an article for each event, a foot. Nothing in it is from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import IO

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import UNSET, Struct

from cli.output.quantities import counted, duration
from cli.report.text import Room
from cli.report.views import STATUSES, Mark, view
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd
from transports.rest.shapes import EventAnswer, SessionAnswer

OPEN = 100
"""Events of a page that are all shown open; with more, only those whose replay differs."""
MANY = 400
"""Events from which on marks are small."""
MARKER = b'<meta name="generator" content="mcp-v8 report">'
"""Is near the beginning of a report."""


class Verdict(Struct, frozen=True):
    """Whether the events do what the log says."""

    kind: str
    text: str


class Page:
    """The report of events ``first`` to ``last`` of a session; they are added to ``spool``, in order."""

    def __init__(self, session: SessionAnswer, first: int, last: int, spool: IO[str]) -> None:
        self._session, self._first, self._last, self._spool = session, first, last, spool
        self._templates = Environment(
            loader=PackageLoader("cli.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._event = self._templates.get_template("event.html")
        self._room = Room(last - first + 1)
        self._marks: list[Mark] = []
        self._counts: Counter[str] = Counter()
        self._engines: set[str] = set()
        self._ran_ms = 0.0
        self._began: datetime | None = None
        self._ended: datetime | None = None

    def add(self, event: EventAnswer, replayed: ReplayedEvent | None) -> None:
        """The next event."""
        seen = view(event, replayed, self._room)
        self._marks.append(seen.mark)
        self._counts[seen.mark.status] += 1
        self._ran_ms += 0.0 if event.duration_ms is UNSET else event.duration_ms
        if event.details is not UNSET and event.details.engine is not UNSET:
            self._engines.add(event.details.engine)
        self._began, self._ended = self._began or event.at, event.at
        is_few = self._last - self._first < OPEN
        is_open = seen.mark.differs or (is_few and seen.code is not None)
        self._spool.write(self._event.render(e=seen, session=self._session.session, is_open=is_open))
        self._spool.write("\n")

    def write(self, out: IO[str], replay: ReplayEnd | None) -> None:
        """The whole page, after the last event. ``replay`` is what running them again came to."""
        style, script = (self._source(name) for name in ("report.css", "report.js"))
        head = self._templates.get_template("head.html").render(
            s=self._session,
            first=self._first,
            last=self._last,
            many=len(self._marks) > MANY,
            style=Markup(style),  # noqa: S704 (ours)
            style_hash=_hash(style),
            script_hash=_hash(script),
            verdict=_verdict(replay),
            notice=_notice(self._session),
            facts=self._facts(),
            marks=self._marks,
            counts=[(status, self._counts[status]) for status in STATUSES if self._counts[status]],
        )
        out.write(f"{head}\n")
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, out)
        foot = self._templates.get_template("foot.html").render(
            made=datetime.now(UTC),
            version=version("mcp-v8"),
            script=Markup(script),  # noqa: S704 (ours)
        )
        out.write(f"{foot}\n")

    def _facts(self) -> Sequence[tuple[str, str]]:
        session = self._session
        tags = (
            f"@{event} {key}={value}" for event, pairs in session.tags.items() for key, value in pairs.items()
        )
        facts = {
            "Events": f"{self._first:,} to {self._last:,} of {session.event:,}",
            "First": _time(self._began),
            "Last": _time(self._ended),
            "Code ran for": duration(self._ran_ms),
            "Forked from": session.forked_from or "",
            "Tags": ", ".join(tags),
            "Checkpoint": f"@{session.checkpoint.event}" if session.checkpoint else "",
            "Engine" if len(self._engines) == 1 else "Engines": ", ".join(sorted(self._engines)),
            f"Head, {session.session}@{session.event}": session.heap,
        }
        return [(name, value) for name, value in facts.items() if value]

    def _source(self, name: str) -> str:
        loader = self._templates.loader
        assert loader is not None
        return loader.get_source(self._templates, name)[0]


def _hash(text: str) -> str:
    """A source that a Content-Security-Policy lets pass."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _verdict(replay: ReplayEnd | None) -> Verdict:
    if replay is None:
        return Verdict("unknown", "Not replayed: whether the log gives this is not known")
    agree = replay.executions - replay.different
    told = f"Replayed: {agree:,}/{replay.executions:,} agree"
    if replay.failed_event is not None:
        return Verdict("bad", f"{told}; event {replay.failed_event:,} ends every process that replays it")
    if not replay.agrees:
        return Verdict("bad", told)
    if replay.drift:
        drift = counted(replay.drift, "event")
        return Verdict("good", f"{told}; texts of {drift} came out otherwise under this engine")
    return Verdict("good", told)


def _notice(session: SessionAnswer) -> str | None:
    """What is wrong with the session."""
    found = session.divergence
    if session.status == "diverged" and found is not None:
        return (
            f"The session has diverged: its log does not give what was recorded, from event {found.event:,} "
            f"on. Fork {session.session}@{found.agreed_event}, or accept what the replay gives."
        )
    if session.status == "failed":
        return f"The session cannot be rebuilt: event {session.failed_event} ends every process."
    return None
