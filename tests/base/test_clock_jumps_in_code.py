"""The machine's clock jumps while code runs: timers come when they would have come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import clocks
import isolates
import pytest
from clocks import Clock

from engine.events import Outcome
from engine.isolate.steadytime import SteadyTime

HOUR = 3_600
SECONDS = 20.0
SLEEPS = ("230 ", "35 ")
"""What clock_nanosleep and nanosleep begin with in /proc/PID/syscall."""


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_timer_comes_though_the_clock_jumps_while_it_is_waited_for(
    Session: Callable[..., isolates.Session],  # noqa: N803
    isolate_host: isolates.Host,
    hours: int,
) -> None:
    if (reason := clocks.why_not()) is not None:
        pytest.skip(reason)
    session = Session()
    session.value("1")  # it is there
    host = isolate_host.pid
    (*_, pid) = Path(f"/proc/{host}/task/{host}/children").read_text().split()
    clock, found = Clock(int(pid)), list[Outcome]()
    code = "let n = 0; for (; n < 3; n++) await new Promise((done) => setTimeout(done, 400)); n"
    running = threading.Thread(target=lambda: found.append(session.run(code).outcome), daemon=True)
    running.start()
    while not Path(f"/proc/{pid}/syscall").read_text().startswith(SLEEPS):
        assert running.is_alive()
    clock.set(hours * HOUR)
    running.join(SECONDS)
    assert [outcome.result for outcome in found] == ["3"]


def test_time_goes_on_where_the_wall_clock_is_set_back_and_follows_it_ahead() -> None:
    wall, running = 1_000, 50
    clock = SteadyTime(lambda: wall, lambda: running)
    assert clock.now() == 1_000
    wall, running = 400, 60
    assert clock.now() == 1_010
    wall, running = 5_000, 70
    assert clock.now() == 5_000
    wall, running = 900, 75
    assert clock.now() == 5_005
    clock.begin()
    assert clock.now() == 900
