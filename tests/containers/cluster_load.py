"""Clients that work while something fails: each appends to a session of its own, through the balancer, and knows
what it was promised.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

CLIENTS = 4
ANSWER_SECONDS = 45
SETTLE_SECONDS = 90
"""How long one append may take, with all its attempts."""
_PAUSE = 0.02


@dataclass
class Appender:
    """One client. An append is asked for until it is answered, under one idempotency key."""

    url: str
    session: str
    done: list[str] = field(default_factory=list)
    """What was answered to be done, in this order."""
    lost: list[str] = field(default_factory=list)
    """What was answered to have been lost with its node, and undone."""
    troubles: list[str] = field(default_factory=list)
    """What came in place of an answer."""
    longest: float = 0.0
    """Seconds between an answer and the next."""
    failure: BaseException | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``."""
        try:
            with httpx2.Client(base_url=self.url, timeout=ANSWER_SECONDS, trust_env=False) as client:
                since, number = time.monotonic(), 0
                while not stop.is_set():
                    self._append(client, f"{self.session}-{number}")
                    self.longest, since = max(self.longest, time.monotonic() - since), time.monotonic()
                    number += 1
                    stop.wait(_PAUSE)
        except BaseException as failed:  # noqa: BLE001 (raised again by who waits for it)
            self.failure = failed

    def _append(self, client: httpx2.Client, value: str) -> None:
        code = f"(globalThis.all ??= []).push({value!r}); all.length"
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            assert time.monotonic() < deadline, f"{value} was not answered: {self.troubles[-3:]}"
            try:
                answer = client.post(
                    "/api/exec",
                    json={"session": self.session, "code": code},
                    headers={"Idempotency-Key": value},
                )
            except httpx2.TransportError as broken:
                self.troubles.append(f"{value}: {broken!r}")
                time.sleep(_PAUSE)
                continue
            if answer.status_code != 200:
                self.troubles.append(f"{value}: {answer.status_code} {answer.text[:300]}")
                time.sleep(_PAUSE * 5)
                continue
            told = answer.json()
            if told["status"] == "completed":
                self.done.append(value)
            else:
                self.troubles.append(f"{value}: {told['status']} {told['error']}")
                self.lost.append(value)
            return

    def check(self, client: httpx2.Client) -> None:
        """All that was answered is there once, in order, and nothing else."""
        answer = client.post(
            "/api/exec", json={"session": self.session, "code": "(globalThis.all ?? []).join(' ')"}
        )
        assert answer.status_code == 200, answer.text
        found = answer.json()["result_json"].split()
        assert found == self.done, f"{self.session}: {_differing(found, self.done)}, lost: {self.lost}"
        events = _events(client, self.session)
        executed = [one for one in events if one["type"] == "executed" and one["status"] == "completed"]
        assert len(executed) == len(self.done) + 1


@contextmanager
def working(url: str, name: str) -> Iterator[list[Appender]]:
    """Clients of sessions that begin with ``name``; at the end of the block they end their last append."""
    stop = threading.Event()
    clients = [Appender(url, f"{name}-{number}") for number in range(CLIENTS)]
    threads = [threading.Thread(target=one.run, args=(stop,), daemon=True) for one in clients]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        stop.set()
        for thread in threads:
            thread.join(SETTLE_SECONDS + ANSWER_SECONDS)
    for one in clients:
        if one.failure is not None:
            raise one.failure


def check(url: str, clients: list[Appender]) -> None:
    """Nothing that was acknowledged is lost, doubled or in another order."""
    with httpx2.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False) as client:
        for one in clients:
            assert one.done, f"{one.session} got no answer: {one.troubles}"
            one.check(client)


def told(what: str, clients: list[Appender]) -> str:
    """What it came to, for who reads the output of the tests."""
    troubles = [one for each in clients for one in each.troubles]
    longest = max(one.longest for one in clients)
    kinds = sorted({trouble.partition(": ")[2][:160] for trouble in troubles})
    return (
        f"{what}: {sum(len(one.done) for one in clients)} appends, {sum(len(one.lost) for one in clients)} lost and "
        f"said so, longest gap {longest:.1f} s, {len(troubles)} troubles {kinds[:4]}"
    )


def wait_for_more(clients: list[Appender], count: int = 3, seconds: float = SETTLE_SECONDS) -> None:
    """Until each client got so many answers more."""
    wanted = {one.session: len(one.done) + len(one.lost) + count for one in clients}
    deadline = time.monotonic() + seconds
    while any(len(one.done) + len(one.lost) < wanted[one.session] for one in clients):
        assert time.monotonic() < deadline, told("stuck", clients)
        assert all(one.failure is None for one in clients), [one.failure for one in clients]
        time.sleep(0.05)


def _differing(found: list[str], done: list[str]) -> str:
    missing = [value for value in done if value not in found]
    more = [value for value in found if value not in done]
    twice = sorted({value for value in found if found.count(value) > 1})
    return f"missing {missing[:5]}, not answered {more[:5]}, twice {twice[:5]}"


def _events(client: httpx2.Client, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = None
    while True:
        query = {"limit": 1000} if after is None else {"limit": 1000, "after": after}
        page = client.get(f"/api/sessions/{session}/events", params=query).json()
        found += page["events"]
        if (after := page["next"]) is None:
            return found
