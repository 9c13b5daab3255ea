"""Threads for requests that nobody waits for at the end."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from persistence.s3.daemons import Daemons

BOUND_SECONDS = 60
ENDING = """
import threading
from persistence.s3.daemons import Daemons
threads, begun = Daemons(1, "parts"), threading.Event()
threads.submit(lambda: (begun.set(), threading.Event().wait()))
assert begun.wait(30)
threads.shutdown()
"""


def test_a_process_ends_though_one_of_them_waits_for_ever() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], timeout=BOUND_SECONDS, check=False)
    assert ended.returncode == 0


def test_no_more_than_so_many_work_at_once_and_all_come_to_what_they_come_to() -> None:
    threads, together, most, deciding = Daemons(2, "parts"), 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def work(number: int) -> int:
        nonlocal together, most
        with deciding:
            together += 1
            most = max(most, together)
        both.wait(BOUND_SECONDS)
        with deciding:
            together -= 1
        if number == 3:
            raise ValueError("as planned")
        return number

    futures = [threads.submit(work, number) for number in range(4)]
    assert [future.result(BOUND_SECONDS) for future in futures[:3]] == [0, 1, 2]
    with pytest.raises(ValueError, match="as planned"):
        futures[3].result(BOUND_SECONDS)
    assert most == 2


def test_nothing_is_begun_after_the_end() -> None:
    threads = Daemons(1, "parts")
    threads.shutdown()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="nothing more is begun"):
            threads.submit(int)


def test_where_there_are_no_more_threads_that_is_raised_and_no_place_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = Daemons(1, "parts")

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr("trio.lowlevel.start_thread_soon", none)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                threads.submit(int)
    assert threads.submit(int, "7").result(BOUND_SECONDS) == 7
