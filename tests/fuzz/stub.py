"""An engine that runs nothing: it answers as the real one could, or refuses, as the fuzzer chooses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Any, Final

from msgspec.structs import replace

from engine import acceptance, chain, errors, labels, outcomes
from engine.attempt import conclude
from engine.catalog import ExecutionSummary, SessionInfo, StateView
from engine.commands import Kept
from engine.comparison import Difference
from engine.events import Caller, ErrorDetail, Line
from engine.execution import Execution, Report, Submission
from engine.importcheck import ImportCheck
from engine.isolate.wire import Global
from engine.limits import LimitPolicy
from engine.outcomes import Abort
from engine.parsing import Parsed
from engine.search import Search
from engine.session import NAME, ForkPoint, Position, check_name
from engine.soundness import CheckedSession, CheckedStore
from engine.statediff import Change, StateDifference
from engine.transfer import Imported
from engine.upkeep import Garbage
from engine.verification import Replayed, Step
from fuzz.data import Data
from fuzz.targets.worker import ATTEMPT
from persistence.eventlog import Audited, Fault, Page

_REFUSALS: Final = (
    errors.InvalidField("a field is wrong", field="at"),
    errors.TooLarge("a field is too large", field="code"),
    errors.NotFound("there is none", field="session"),
    errors.Conflict("not there"),
    errors.KeyReused("another request"),
    errors.Busy("too many"),
)
_EVENT: Final = conclude(
    ATTEMPT,
    "s1",
    Abort("timed_out", 1_000, thrown=ErrorDetail(name="E", message="m")),
    (Line("log", "é\nx"),),
)
_RECORD: Final = chain.seal(b"p" * 32, _EVENT)
_POINT: Final = ForkPoint("s1", 1, bytes(32))


class StubEngine:
    """The part of ``engine.supervisor.Supervisor`` that doors use."""

    stateless = False
    engine_id = ATTEMPT.engine
    policy = LimitPolicy()

    cluster = None

    def __init__(self, data: Data) -> None:
        self.data = data

    @property
    def executions(self) -> StubExecutions:
        """As the engine's."""
        return StubExecutions(self)

    @property
    def requests(self) -> StubRequests:
        """As the engine's."""
        return StubRequests(self.data, self.refuse)

    @property
    def past(self) -> StubPast:
        """As the engine's."""
        return StubPast(self.refuse)

    @property
    def store(self) -> StubStore:
        """As the engine's."""
        return StubStore(self.data, self.refuse)

    async def sessions(
        self, _owner: str, *, limit: int, after: str | None, tag: str | None, sizes: bool = False
    ) -> Page[SessionInfo]:
        """A page with one."""
        _check_page(limit, after, tag)
        self.refuse()
        return Page((replace(_info("demo"), size=1 if sizes else None),))

    async def session(self, _owner: str, name: str) -> SessionInfo:
        """Any is there."""
        name.encode()
        self.refuse()
        return _info("demo")

    async def parse(self, asked: Submission) -> Parsed:
        """It does not parse."""
        acceptance.check(asked, self.policy)
        self.refuse()
        return Parsed(is_complete=True, error=ErrorDetail(name="SyntaxError", message="m", line=1, column=1))

    async def events(self, _owner: str, name: str, *, first: int, limit: int) -> Page[chain.Record]:
        """A page with one."""
        _check_page(limit, name)
        _check_number(first)
        self.refuse()
        return Page((_RECORD,), "2")

    async def event(self, _owner: str, name: str, seq: int) -> chain.Record:
        """Any is there."""
        name.encode()
        _check_number(seq)
        self.refuse()
        return _RECORD

    async def point(self, _owner: str, heap: str) -> tuple[str, int]:
        """Any is there."""
        bytes.fromhex(heap)
        self.refuse()
        return "demo", _POINT.seq

    def status(self) -> dict[str, Any]:
        """All is well."""
        counts = ("workers", "zygote_pid", "sessions", "awake", "running", "queued", "held", "store_bytes")
        known = {"ready": True, "status": "ready", "engine": "", "sandbox": {}, "max_store_bytes": None}
        return {**known, **dict.fromkeys(counts, 0)}

    def refuse(self) -> None:
        """Sometimes."""
        if self.data.rarely():
            raise self.data.choose(_REFUSALS)


class StubExecutions:
    """The part of ``engine.executions.Executions`` that doors use."""

    def __init__(self, engine: StubEngine) -> None:
        self._engine = engine  # which gets other data for each request

    async def submit(self, asked: Submission) -> Execution:
        """As the engine does, but that the code comes to nothing."""
        acceptance.check(asked, LimitPolicy())
        self._engine.refuse()
        return self._execution()

    async def promise(self, execution: Execution) -> None:
        """It is known wherever there is somebody to ask."""

    async def find(self, _owner: str, execution_id: str) -> Execution:
        """One that is over, or was not recorded."""
        execution_id.encode()
        self._engine.refuse()
        return self._execution()

    cancel = find

    async def page(
        self,
        _owner: str,
        *,
        session: str | None,
        status: str | None,
        limit: int,
        after: str | None,
        search: Search | None = None,
    ) -> Page[ExecutionSummary]:
        """A page with one."""
        _check_page(limit, session, status, after)
        assert search is None or search.text is None or search.text.encode()
        self._engine.refuse()
        summary = ExecutionSummary(
            execution_id=ATTEMPT.execution_id,
            session="demo",
            event=1,
            status="timed_out",
            started_at=_EVENT.at,
            duration_us=1,
            code="1",
            error="E: m",
        )
        return Page((summary,), "r1.e_a")

    def _execution(self) -> Execution:
        execution = Execution(
            ATTEMPT.execution_id, "local", caller=_EVENT.caller, accepted_at=_EVENT.accepted_at
        )
        if self._engine.data.rarely():
            execution.fail(errors.Busy("too many"))
        else:
            execution.emit(_EVENT.console)
            execution.finish(outcomes.report(_EVENT, session="demo", heap="a" * 64))
        return execution


class StubRequests:
    """The part of ``engine.requests.Requests`` that doors use."""

    def __init__(self, data: Data, refuse: Callable[[], None]) -> None:
        self.data = data
        self._refuse = refuse

    async def delete(self, _owner: str, name: str, caller: Caller) -> SessionInfo:
        """It was there."""
        _check_caller(caller)
        name.encode()
        self._refuse()
        return _info("demo")

    accept = delete

    async def checkpoint(self, _owner: str, name: str) -> Kept:
        """There is one, or it was declined."""
        name.encode()
        self._refuse()
        return Kept(1, "a" * 64, 10, 1_000) if self.data.rarely() else Kept(1, "a" * 64, 0, 1, "é")

    async def state(self, _owner: str, name: str, *, at: int | None, preview_chars: int = 200) -> StateView:
        """One variable."""
        name.encode()
        _check_number(at or 0)
        _check_number(preview_chars)
        self._refuse()
        return StateView(
            session="demo", event=1, heap="", globals=(Global("x", "lexical", "number", "1"),), more=0
        )

    async def fork(
        self, _owner: str, name: str, *, at: int | None, into: str | None, caller: Caller
    ) -> SessionInfo:
        """It is made."""
        name.encode()
        _check_number(at or 0)
        _check_caller(caller)
        self._refuse()
        return _info("demo" if into is None else check_name(into))

    async def tag(
        self, _owner: str, name: str, *, at: int | None, tags: dict[str, str | None], caller: Caller
    ) -> SessionInfo:
        """It is done."""
        name.encode()
        _check_number(at or 0)
        _check_caller(caller)
        labels.check(tags)
        self._refuse()
        return _info("demo")


class StubPast:
    """The part of ``engine.timetravel.TimeTravel`` that doors use."""

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse

    async def point(self, _owner: str, name: str, *, at: int | None) -> ForkPoint:
        """Any is there."""
        name.encode()
        _check_number(at or 0)
        self._refuse()
        return _POINT

    async def replay(self, owner: str, name: str, *, at: int | None) -> Replayed:
        """One event differs."""
        point = await self.point(owner, name, at=at)
        found = {1: Difference("result", "\x1b[2J", "é")}
        return Replayed(
            session=name, event=point.seq, executions=1, different=1, found=found, failed=None, drift=None
        )

    async def walk(
        self,
        owner: str,
        name: str,
        tell: Callable[[Step], Awaitable[None]],
        *,
        first: int,
        last: int | None,
        strict: bool,
        changes: bool,
    ) -> Replayed:
        """The same, told of, and perhaps ended by a refusal after that."""
        _check_number(first)
        told = await self.replay(owner, name, at=last)
        x = Global("x", "lexical", "number", "\x1b")
        changed = StateDifference(added=(x,), removed=(x,), changed=(Change(x, x),), same=1)
        for event, found in told.found.items():
            await tell(
                Step(
                    event=event,
                    difference=None if strict else found,
                    drift=found if strict else None,
                    is_other=strict,
                    changes=changed if changes else None,
                )
            )
        self._refuse()
        return told

    async def evaluate(self, name: str, asked: Submission) -> Report:
        """It was ended."""
        name.encode()
        acceptance.check(asked, LimitPolicy())
        self._refuse()
        return outcomes.report(_EVENT, session="demo", heap="a" * 64)


class StubStore:
    """The part of ``engine.storecare.StoreCare`` that doors use."""

    def __init__(self, data: Data, refuse: Callable[[], None]) -> None:
        self.data = data
        self._refuse = refuse

    async def export(self, _owner: str, name: str, program: str) -> AsyncGenerator[bytes, None]:
        """A file with what made it."""
        if not NAME.fullmatch(name):
            raise errors.NotFound("there is none", field="session")
        self._refuse()
        return _once(program.encode())

    async def import_session(self, owner: str, source: AsyncIterable[bytes], caller: Caller) -> Imported:
        """Whatever is in the file is checked, and refused or imported before."""
        _check_caller(caller)
        check = ImportCheck(1 << 20, owner, LimitPolicy())
        async for data in source:
            list(check.feed(data))
        self._refuse()
        position = Position(
            session="s1",
            owner=owner,
            name="demo",
            head_seq=1,
            head_id=_RECORD.id,
            state_seq=0,
            state_id=_RECORD.prev,
        )
        return Imported(position=position, events=2, is_new=bool(self.data.byte() % 2))

    async def check(
        self, _owner: str, tell: Callable[[CheckedSession], Awaitable[None]], *, whole: bool
    ) -> CheckedStore:
        """A session of which little is left, perhaps a refusal after that."""
        audited = Audited(
            session="s1",
            owner=None,
            name=None if whole else "\x1b",
            closed=whole,
            has_entry=not whole,
            events=1,
            size=10,
            first=None,
            head=1,
            parent=None,
            checkpoints=(),
            faults=(),
            more_faults=1,
        )
        faults = (Fault("damaged", "é", 1, 1), Fault("entry", "m"))
        await tell(
            CheckedSession(audited=audited, faults=faults, sound_to=None, restorable_from=1, number=1, of=1)
        )
        self._refuse()
        return CheckedStore(
            sessions=1, damaged=1, events=1, size=10, checkpoints=0, faults=3, store_faults=("m",)
        )

    async def garbage(self, _owner: str) -> Garbage:
        """Some."""
        self._refuse()
        return Garbage(sessions=1, events=2, event_bytes=3, later=Garbage(blobs=1, blob_bytes=4))

    async def collect_garbage(self, _owner: str, tell: Callable[[Garbage], Awaitable[None]]) -> Garbage:
        """It is removed, perhaps not all of it."""
        await tell(Garbage(events=1))
        self._refuse()
        return Garbage(sessions=1, events=2, event_bytes=3)


def _check_page(limit: int, *texts: str | None) -> None:
    """What the SQL of the store would be given."""
    assert limit >= 1  # the engine cuts what is over its maximum
    for text in texts:
        (text or "").encode()


def _check_number(number: int) -> None:
    assert 0 <= number < 1 << 63


def _check_caller(caller: Caller) -> None:
    for text in (caller.client, caller.client_version, caller.request_id, caller.traceparent):
        assert len(text.encode()) <= 1_000


def _info(name: str) -> SessionInfo:
    return SessionInfo(
        name=name,
        head_seq=1,
        state_seq=0,
        heap="a" * 64,
        created_at=1,
        last_at=1,
        events=2,
        awake=False,
        running=0,
        tags={0: {"a": "b"}},
        more_tags=False,
        forked_from=None,
        status="ok",
        divergence=None,
        failed_event=None,
        drift=0,
        checkpoint=None,
        checkpoint_declined=None,
        recovering=None,
    )


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
