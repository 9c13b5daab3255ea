"""What is on its way to a session goes there in the order in which it was accepted."""

from __future__ import annotations

import trio
import trio.testing

from cluster.lines import Lines, Way
from engine.commands import Execute
from engine.events import Caller
from engine.execution import Execution, Submission

CALLER = Caller(transport="test")


def joined(lines: Lines, *, session: str | None = "x") -> Way:
    """One that was accepted, and that nobody has been asked to do."""
    execution = Execution("e", "local", caller=CALLER, accepted_at=1)
    execution.session = session
    submission = Submission(owner="local", code="1", caller=CALLER, session="x")
    way = Way(Execute(submission, execution), "local", "x")
    lines.join(way)
    return way


async def test_what_is_asked_at_the_same_time_does_not_wait_for_each_other() -> None:
    lines = Lines()
    first, second = joined(lines), joined(lines)
    assert not lines.must_wait(second, "b")
    first.taken("b")
    assert not lines.must_wait(second, "b")


async def test_what_follows_goes_after_what_another_node_has_accepted_and_may_send_back() -> None:
    lines = Lines()
    first, second = joined(lines), joined(lines)
    first.taken("a")
    assert lines.must_wait(second, "b")
    assert lines.must_wait(second, None)
    first.left()
    assert lines.must_wait(second, "b")
    assert not lines.must_wait(first, "b")
    first.taken("b")
    assert not lines.must_wait(second, "b")


async def test_what_comes_back_waits_for_all_that_was_accepted_before_by_the_same_node(
    mock_clock: trio.testing.MockClock,
) -> None:
    lines = Lines()
    first, second = joined(lines), joined(lines)
    first.taken("a")
    second.taken("a")
    mock_clock.jump(1)
    second.left()
    assert lines.must_wait(second, "a")  # to which it goes as long as nothing else is seen here
    mock_clock.jump(1)
    first.left()
    first.taken("a")
    assert not lines.must_wait(second, "a")


async def test_what_is_over_or_has_branched_off_holds_up_nothing() -> None:
    lines = Lines()
    branched, over, last = joined(lines, session="s_1"), joined(lines), joined(lines)
    branched.taken("a")
    over.taken("a")
    assert lines.must_wait(last, "b")
    lines.leave(over)
    assert not lines.must_wait(last, "b")
    assert ("local", "x") in lines
    lines.leave(branched)
    lines.leave(last)
    assert ("local", "x") not in lines
