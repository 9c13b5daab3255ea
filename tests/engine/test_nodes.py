"""The engine of one node of several: what it asks of the others, which are made up here."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from engines import CALLER, OWNER, Engine, OpenEngine, submission
from msgspec.structs import replace

from engine import debt
from engine.chain import GENESIS, Record, seal
from engine.commands import Bury, Changed, Command, Execute, Keep, Tag
from engine.copies import Copy
from engine.errors import Conflict, Elsewhere, NodeFenced, NodeLost, NotFound, Unavailable
from engine.events import Aborted, Created
from engine.execution import Execution, Report
from engine.executions import Forwarded
from engine.nodes import Alone
from engine.timestamps import now_us


class OthersMadeUp(Alone):
    """Other nodes that have the sessions in ``elsewhere``, and are sent commands without carrying them out."""

    def __init__(self) -> None:
        self.elsewhere: set[str | None] = set()
        self.sent: list[tuple[Command, str | None]] = []
        self.held: dict[str, int] = {}
        self.token = 1

    async def claim(self, owner: str, name: str, *, here: bool = False) -> int:  # noqa: ARG002
        if name in self.elsewhere:
            raise Elsewhere("made up")
        self.held[name] = self.held.get(name, 0) + 1
        return self.token

    def release(self, owner: str, name: str, token: int) -> None:  # noqa: ARG002
        self.held[name] -= 1

    def place(self, asked: object) -> None:  # noqa: ARG002
        if None in self.elsewhere:
            raise Elsewhere("made up")

    def forward(
        self,
        command: Command,
        owner: str,  # noqa: ARG002
        name: str | None,
        *,
        was_queued: bool = False,  # noqa: ARG002
    ) -> None:
        marked = command.execution if isinstance(command, Execute) else command
        marked.is_elsewhere = True
        self.sent.append((command, name))

    async def until_released(self, name: str) -> None:
        while self.held[name]:
            await trio.lowlevel.checkpoint()


async def begun(engine: Engine, code: str, session: str) -> Execution:
    """An execution that has printed something."""
    execution = await engine.supervisor.executions.submit(submission(code, session=session))
    assert await execution.wait_for_line(0)
    return execution


async def test_what_is_asked_of_another_nodes_session_goes_there_and_nothing_is_claimed_here(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    nodes = OthersMadeUp()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        await engine.run("let n = 1", session="x")
        nodes.elsewhere.add("x")
        engine.supervisor.peers.lose(OWNER, "x")
        await nodes.until_released("x")
        execution = await engine.supervisor.executions.submit(submission("++n", session="x"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                lambda: engine.supervisor.requests.tag(OWNER, "x", at=None, tags={"a": "b"}, caller=CALLER)
            )
            while len(nodes.sent) < 2:
                await trio.lowlevel.checkpoint()
            (asked, name), (tag, other) = nodes.sent
            assert isinstance(asked, Execute)
            assert isinstance(tag, Tag)
            assert (asked.execution, name, other) == (execution, "x", "x")
            assert execution in engine.supervisor.executions.under_way(OWNER, "x")
            # what the other node has answered is answered here
            execution.finish(Report(execution_id=execution.id, session="x", status="completed", result="2"))
            row = await engine.supervisor.session(OWNER, "x")
            assert row.name == "x"
            assert engine.log is not None
            entry = await engine.log.session_named(OWNER, "x")
            assert entry is not None
            tag.answer(Changed(entry.session, None))
        report = await execution.wait(0)
        assert report is not None
        assert report.result == "2"
        assert nodes.held["x"] == 0


@pytest.mark.parametrize("directory", [True, False])
async def test_what_is_for_no_session_goes_to_the_node_that_has_less_to_do(
    open_engine: OpenEngine, tmp_path: Path, directory: bool
) -> None:
    nodes = OthersMadeUp()
    async with open_engine(tmp_path if directory else None, nodes=nodes) as engine:
        nodes.elsewhere.add(None)
        execution = await engine.supervisor.executions.submit(submission("1"))
        (command, name) = nodes.sent[0]
        assert isinstance(command, Execute)
        assert (command.execution, name) == (execution, None)
        # which runs it, whoever it thinks has less to do, as it was called before
        forwarded = Forwarded("e_forwarded0000001", 7)
        there = await engine.supervisor.executions.submit(submission("1 + 1"), forwarded)
        report = await there.wait(60)
        assert report is not None
        assert (there.id, there.accepted_at, report.result) == ("e_forwarded0000001", 7, "2")
        execution.fail(NodeLost("made up"))


async def test_what_another_node_sends_here_is_not_sent_on(open_engine: OpenEngine, tmp_path: Path) -> None:
    nodes = OthersMadeUp()
    nodes.elsewhere.add("x")
    async with open_engine(tmp_path, nodes=nodes) as engine:
        with pytest.raises(Elsewhere):
            await engine.supervisor.executions.submit(
                submission("1", session="x"), Forwarded("e_forwarded0000001", 7)
            )
        assert nodes.sent == []
        assert engine.supervisor.executions.running_here(OWNER) == []


async def test_a_session_that_is_lost_fails_what_runs_in_it_and_sends_on_what_waits(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    nodes = OthersMadeUp()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        runs = await begun(engine, "console.log(1); for (;;);", "x")
        waits = await engine.supervisor.executions.submit(submission("2", session="x"))
        nodes.elsewhere.add("x")
        engine.supervisor.peers.lose(OWNER, "x")
        with pytest.raises(NodeFenced, match="nothing of it was recorded"):
            await runs.wait(60)
        await nodes.until_released("x")
        ((sent, _),) = nodes.sent
        assert isinstance(sent, Execute)
        assert sent.execution is waits
        assert engine.log is not None
        assert await engine.log.session_named(OWNER, "x") is None
        waits.fail(NodeLost("made up"))


async def test_a_session_that_nobody_can_be_asked_to_take_is_given_up_after_all_that_waits_in_it(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    nodes = OthersMadeUp()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        runs = await begun(
            engine, "console.log(1); await new Promise((done) => setTimeout(done, 200)); 7", "x"
        )
        waits = [await engine.supervisor.executions.submit(submission(str(n), session="x")) for n in range(3)]
        engine.supervisor.handing.let_go(OWNER, "x")
        for number, execution in enumerate([runs, *waits]):
            report = await execution.wait(60)
            assert report is not None
            assert (report.status, report.event) == ("completed", number + 1)
        engine.supervisor.handing.let_go(OWNER, "x")
        await nodes.until_released("x")
        assert not nodes.sent


async def test_a_session_is_handed_over_after_what_runs_in_it(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    nodes = OthersMadeUp()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        runs = await begun(
            engine, "console.log(1); await new Promise((done) => setTimeout(done, 200)); 7", "x"
        )
        waits = [await engine.supervisor.executions.submit(submission(str(n), session="x")) for n in range(3)]
        engine.supervisor.handing.give(OWNER, "x")
        report = await runs.wait(60)
        assert report is not None
        assert (report.result, report.event) == ("7", 1)
        await nodes.until_released("x")
        sent = [command.execution for command, _ in nodes.sent if isinstance(command, Execute)]
        assert sent == waits
        for execution in waits:
            execution.fail(NodeLost("made up"))
        # and is had again as it was left
        assert await engine.value("8", session="x") == "8"


async def test_a_session_that_another_node_had_in_between_is_where_that_left_it(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    nodes = OthersMadeUp()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        first = await engine.run("let n = 1", session="x")
        engine.supervisor.peers.lose(OWNER, "x")
        await nodes.until_released("x")
        nodes.token = 2
        assert await engine.value("++n", session="x") == "2"
        assert first.event == 1


async def test_an_execution_that_was_lost_is_recorded_once_and_undone(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    async with open_engine(tmp_path, nodes=OthersMadeUp()) as engine:
        await engine.run("let n = 1", session="x")
        for name, created in (("x", False), ("new", True)):
            lost = submission("++n", session=name, idempotency_key=f"key-{name}", request_hash="h")
            for event in (1 if created else 2, None):
                command = await engine.supervisor.peers.post(
                    OWNER,
                    name,
                    lambda answered, lost=lost, name=name: Bury(lost, f"e_{name}", 5, name, answered),
                )
                assert (await command.result()).event == event
            found = await engine.supervisor.executions.find(OWNER, f"e_{name}")
            report = await found.wait(0)
            assert report is not None
            assert (report.status, report.created, found.accepted_at) == ("crashed", created, 5)
            assert report.error is not None
            assert (report.error.name, report.error.undone) == ("NodeLost", True)
            # under its key it is told, and not run
            again = await engine.supervisor.executions.submit(lost)
            assert again.id == f"e_{name}"
        assert await engine.value("n", session="x") == "1"
        # its client tried again before that was recorded
        keyed = submission("++n", session="x", idempotency_key="used", request_hash="h")
        again = await engine.supervisor.executions.submit(keyed)
        assert await again.wait(60)
        command = await engine.supervisor.peers.post(
            OWNER, "x", lambda answered: Bury(keyed, "e_first", 5, "x", answered)
        )
        assert (await command.result()).event is not None
        assert (await engine.supervisor.executions.find(OWNER, "e_first")).status == "crashed"
        assert (await engine.supervisor.executions.submit(keyed)).id == again.id
        with pytest.raises(NotFound):
            await engine.supervisor.executions.find("another", "e_x")


async def test_an_execution_that_was_lost_and_sent_again_under_its_key_is_recorded_beside_the_other(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    async with open_engine(tmp_path, nodes=OthersMadeUp()) as engine:
        asked = submission("7", session="x", idempotency_key="k", request_hash="h")
        sent_again = await engine.supervisor.executions.submit(asked)
        assert await sent_again.wait(60) is not None
        command = await engine.supervisor.peers.post(
            OWNER, "x", lambda answered: Bury(asked, "e_x", 5, "x", answered)
        )
        assert (await command.result()).event == 2
        lost = await (await engine.supervisor.executions.find(OWNER, "e_x")).wait(0)
        assert lost is not None
        assert lost.status == "crashed"
        assert (await engine.supervisor.executions.submit(asked)).id == sent_again.id


async def test_a_key_that_another_node_has_used_just_then_is_answered_with_what_that_recorded(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    """The log refuses what this node ran, since it has the other's by now."""
    async with open_engine(tmp_path, nodes=OthersMadeUp()) as engine:
        assert engine.log is not None
        of_another = await _of_another(engine)
        runs = await engine.supervisor.executions.submit(
            submission(
                "console.log(1); await new Promise((done) => setTimeout(done, 500)); 7",
                session="x",
                idempotency_key="k",
                request_hash="h",
            )
        )
        assert await runs.wait_for_line(0)
        await engine.log.append(of_another)
        report = await runs.wait(60)
        assert report is not None
        assert (report.execution_id, report.session, report.result) == ("e_other", "y", "5")
        assert await engine.log.session_named(OWNER, "x") is None


async def test_what_another_node_was_asked_for_first_and_has_recorded_is_answered_with_that(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    """Whoever asks both has not heard of the first that it took it."""
    async with open_engine(tmp_path, nodes=OthersMadeUp()) as engine:
        assert engine.log is not None
        of_another = await _of_another(engine)
        code = "console.log(1); await new Promise((done) => setTimeout(done, 500)); 7"
        asked = submission(code, session="x", request_hash="h")
        runs = await engine.supervisor.executions.submit(asked, Forwarded("e_other", now_us()))
        assert await runs.wait_for_line(0)
        await engine.log.append(of_another)
        report = await runs.wait(60)
        assert report is not None
        assert (report.execution_id, report.session, report.result) == ("e_other", "y", "5")


async def test_a_session_that_is_lost_while_an_earlier_record_is_looked_for_answers_all_the_same(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    class Silent(OthersMadeUp):
        """They do not say what they have recorded."""

        asked = trio.Event()

        async def fresh(self, owner: str, name: str | None = None) -> None:  # noqa: ARG002
            self.asked.set()
            await trio.sleep_forever()

    nodes = Silent()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        assert engine.log is not None
        of_another = await _of_another(engine)
        code = "console.log(1); await new Promise((done) => setTimeout(done, 500)); 7"
        keyed = {"idempotency_key": "k", "request_hash": "h"}
        runs = await engine.supervisor.executions.submit(submission(code, session="x", **keyed))
        assert await runs.wait_for_line(0)
        await engine.log.append(of_another)
        await nodes.asked.wait()
        engine.supervisor.peers.lose(OWNER, "x")
        with pytest.raises(NodeFenced):
            await runs.wait(60)
        await nodes.until_released("x")


async def _of_another(engine: Engine) -> list[Record]:
    """What another node records: an execution, ``e_other``, in its session y, under the key k."""
    assert engine.log is not None
    example = await engine.run("let n = 5; n", session="z")
    record = await engine.log.execution(example.execution_id)
    assert record is not None
    assert not isinstance(record.event, Aborted)
    created = seal(
        GENESIS,
        Created(
            session="i_2",
            seq=0,
            at=now_us(),
            owner=OWNER,
            name="y",
            engine=engine.supervisor.engine_id,
            caller=CALLER,
        ),
    )
    event = replace(
        record.event, session="i_2", execution_id="e_other", idempotency_key="k", request_hash="h"
    )
    return [created, seal(created.id, event)]


class OthersHaveAll(OthersMadeUp):
    """They take each session just before it is begun here, as where this node begins to be drained."""

    taken = False

    async def claim(self, owner: str, name: str, *, here: bool = False) -> int:
        if here and self.taken:
            raise Elsewhere("made up")
        return await super().claim(owner, name, here=here)


async def test_what_was_to_begin_a_session_here_goes_to_the_node_that_shall_have_it(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    nodes = OthersHaveAll()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        first = await engine.run("let n = 1", session="x")
        await engine.run("++n", session="x")
        nodes.taken = True
        unnamed = await engine.supervisor.executions.submit(submission("1"))
        named = await engine.supervisor.executions.submit(submission("2", session="new"))
        branched = await engine.supervisor.executions.submit(submission("3", heap=first.heap))
        while len(nodes.sent) < 3:
            await trio.lowlevel.checkpoint()
        sent = {command.execution.id: name for command, name in nodes.sent if isinstance(command, Execute)}
        # the state that it branches off from is known by the name of its session
        assert sent == {unnamed.id: unnamed.session, named.id: "new", branched.id: "x"}
        for execution in (unnamed, named, branched):
            assert not execution.done
            execution.fail(NodeLost("made up"))
        with pytest.raises(Unavailable, match="try again"):
            await engine.supervisor.requests.fork(OWNER, "x", at=1, into="fork", caller=CALLER)
        with pytest.raises(Conflict, match="there is a session x already"):
            await engine.supervisor.requests.fork(OWNER, "x", at=1, into="x", caller=CALLER)


async def test_the_state_of_a_session_that_another_node_may_have_is_not_told(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    class Doubtful(OthersMadeUp):
        """Whether this node has its sessions is not sure any more, after so many times."""

        left = 0

        def check(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise Unavailable("made up")

    nodes = Doubtful()
    async with open_engine(tmp_path, nodes=nodes) as engine:
        await engine.run("let n = 1", session="x")
        with pytest.raises(Unavailable, match="made up"):
            await engine.supervisor.requests.state(OWNER, "x", at=None)
        nodes.left = 1
        assert [
            one.name for one in (await engine.supervisor.requests.state(OWNER, "x", at=None)).globals
        ] == ["n"]


async def test_a_session_is_handed_over_though_something_came_while_it_was_about_to_sleep(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debt, "COST_US", 1)
    is_copied = trio.Event()
    monkeypatch.setattr(Copy, "snapshot", lambda _: is_copied.wait())
    nodes = OthersMadeUp()
    async with open_engine(tmp_path, nodes=nodes, restore_target_seconds=1_000.0) as engine:
        await engine.run("let n = 1", session="x")
        (actor,) = engine.supervisor._actors
        actor.retire()
        while not actor.is_retiring:
            await trio.lowlevel.checkpoint()
        for _ in range(20):  # it begins to make a checkpoint
            await trio.lowlevel.checkpoint()
        assert actor.awake
        asked = Keep(lambda _: None)
        actor.post(asked)
        actor.hand_over()
        with trio.fail_after(20):
            await actor.ended.wait()
        assert nodes.sent == [(asked, "x")]
        is_copied.set()
