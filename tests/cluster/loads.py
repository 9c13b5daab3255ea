"""Clients of a cluster, which append to sessions through all nodes and remember what they were told.

They do as clients behind a balancer: requests go to nodes that are ready, as each says twice a second. Who cannot
be reached, does not answer in time or asks for patience is passed over for another, with the same idempotency key.
What they saw is checked against the log in the end.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
import trio
from clusters import Cluster, Node
from told_histories import Append, Look, faults, longest_gap

SESSIONS = 3
ANSWER_SECONDS = 4.0
"""Then another node is asked."""
CHECK_SECONDS = 0.5
LAST_SECONDS = 60.0
"""Within which what was begun must be answered once all is well again."""
UNKEYED_CHANCE = 0.1
RESEND_CHANCE = 0.1
LOOK_CHANCE = 0.2
PATIENCE = (429, 503)
"""Statuses that ask the client to come again."""


class Load:
    """What all clients did and saw."""

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        *,
        name: str = "register",
        sessions: int = SESSIONS,
        own: bool = False,
        look_chance: float = LOOK_CHANCE,
    ) -> None:
        """``name``: what its sessions and keys begin with, which no other one has; ``own``: each client has one, to itself."""
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._look_chance = look_chance
        self.answer_seconds = ANSWER_SECONDS
        """How long an answer is waited for before another node is asked."""
        self._choice = list(cluster.nodes)
        """Nodes that get requests."""
        self._name = name
        self._own = own
        self._sessions = [f"{name}-{n}" for n in range(sessions)]
        self._appends: dict[str, list[Append]] = {name: [] for name in self._sessions}
        self._looks: dict[str, list[Look]] = {name: [] for name in self._sessions}
        self._steps = 0
        self._changed = trio.Condition()
        self.moments: list[float] = []
        """When answers came that an append is recorded."""
        self.troubles: Counter[str] = Counter()
        """Answers that were none, and why."""
        self.seconds: list[float] = []
        """How long each append took, attempts that failed included."""

    async def clients(self, count: int, stop: trio.Event) -> None:
        """So many, until they are to stop; returns once each has its last answer."""
        async with trio.open_nursery() as checking:
            checking.start_soon(self._check_nodes)
            async with trio.open_nursery() as nursery:
                for n in range(count):
                    own = random.Random(self._chance.random())
                    sessions = [self._sessions[n]] if self._own else self._sessions
                    nursery.start_soon(self._client, f"{self._name}-c{n}", own, sessions, stop)
            checking.cancel_scope.cancel()

    async def acknowledged(self, more: int) -> None:
        """Wait until so many more appends are answered."""
        async with self._changed:
            count = self._steps + more
            while self._steps < count:
                await self._changed.wait()

    async def check(self, nodes: Sequence[Node]) -> None:
        """What those nodes tell of the log is the same, and all that was seen fits it. Raises AssertionError."""
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            for session in self._sessions:
                logs = [await told(http, node, session) for node in nodes]
                for node, log in zip(nodes, logs, strict=True):
                    assert log == logs[0], f"{node.name} tells another log of {session} than {nodes[0].name}"
                keys = [event["key"] for event in logs[0]]
                wrong = faults(self._appends[session], self._looks[session], keys)
                assert wrong == [], f"{session}: " + "; ".join(wrong[:20])
                counted = [event["result"] for event in logs[0] if event["key"] is not None]
                assert counted == [str(n + 1) for n in range(len(counted))], f"{session} lost what it held"

    @property
    def longest_gap(self) -> float:
        """Seconds in which nobody was told that anything is recorded."""
        return longest_gap(self.moments)

    async def _check_nodes(self) -> None:
        """Know which nodes are ready, as a balancer does; where none is, any will do."""
        async with httpx2.AsyncClient(trust_env=False, timeout=1) as http:
            while True:
                ready = [node for node in self._cluster.nodes if await _is_ready(http, node)]
                self._choice = ready or list(self._cluster.nodes)
                await trio.sleep(CHECK_SECONDS)

    async def _client(
        self, name: str, chance: random.Random, sessions: Sequence[str], stop: trio.Event
    ) -> None:
        async with httpx2.AsyncClient(
            trust_env=False, timeout=httpx2.Timeout(ANSWER_SECONDS, connect=1)
        ) as http:
            step = 0
            while not stop.is_set():
                session = chance.choice(sessions)
                if chance.random() < self._look_chance:
                    await self._look(http, chance, session)
                else:
                    await self._append(http, chance, session, f"{name}-{step}")
                step += 1

    async def _append(
        self,
        http: httpx2.AsyncClient,
        chance: random.Random,
        session: str,
        key: str,
        began: float | None = None,
    ) -> None:
        """One, for which its client has waited since ``began``."""
        body = {"session": session, "code": f"(globalThis.keys ??= []).push('{key}')"}
        headers = {} if chance.random() < UNKEYED_CHANCE else {"idempotency-key": key}
        place, called = len(self._appends[session]), trio.current_time()
        self._appends[session].append(Append(key, called))
        answer = await self._insist(http, chance, body, headers, called)
        if answer is None:
            return
        if answer["error_detail"] is not None and answer["error_detail"]["name"] == "NodeLost":
            # it is certain that nothing of it is there: as another one, it is asked for again
            self.troubles["NodeLost"] += 1
            await self._append(http, chance, session, f"{key}+", called if began is None else began)
            return
        returned = trio.current_time()
        assert answer["status"] == "completed", answer
        self._appends[session][place] = Append(key, called, returned, answer["event"])
        if headers and chance.random() < RESEND_CHANCE:
            assert await self._insist(http, chance, body, headers, called) == answer
        async with self._changed:
            self._steps += 1
            self.moments.append(returned)
            self.seconds.append(returned - (called if began is None else began))
            self._changed.notify_all()

    async def _insist(
        self,
        http: httpx2.AsyncClient,
        chance: random.Random,
        body: dict[str, Any],
        headers: dict[str, str],
        began: float,
    ) -> dict[str, Any] | None:
        """The answer, of whichever node; None if it is not known and must not be asked for again."""
        while True:
            node = chance.choice(self._choice)
            sent = True
            try:
                response = await http.post(
                    f"{node.url}/api/exec",
                    json=body,
                    headers=headers,
                    timeout=httpx2.Timeout(self.answer_seconds, connect=1),
                )
                if response.status_code == 200:
                    answer = response.json()
                    assert isinstance(answer, dict)
                    return answer
                assert response.status_code in PATIENCE, (
                    f"{node.name}: {response.status_code} {response.text}"
                )
                self._note_trouble(node, body, f"{response.status_code} {response.json()['code']}")
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                sent = False
            except httpx2.TransportError as failed:
                self._note_trouble(node, body, type(failed).__name__)
            if sent and not headers:
                return None
            assert trio.current_time() < began + LAST_SECONDS, (
                f"no answer for {LAST_SECONDS} s: {self.troubles}"
            )
            await trio.sleep(chance.random() * 0.1)

    def _note_trouble(self, node: Node, body: dict[str, Any], what: str) -> None:
        self.troubles[what] += 1
        sys.stderr.write(
            f"{datetime.now(UTC).time()} {node.name} {body} {what}\n"
        )  # pytest shows it with a failure

    async def _look(self, http: httpx2.AsyncClient, chance: random.Random, session: str) -> None:
        """Ask for the session's head; that nobody answers is no fault."""
        node, called = chance.choice(self._choice), trio.current_time()
        try:
            response = await http.get(f"{node.url}/api/sessions/{session}")
        except httpx2.TransportError:
            return
        if response.status_code == 200:
            self._looks[session].append(
                Look(called, trio.current_time(), response.json()["event"], node.name)
            )


async def _is_ready(http: httpx2.AsyncClient, node: Node) -> bool:
    try:
        return (await http.get(f"{node.url}/readyz")).status_code == 200
    except httpx2.TransportError:
        return False


async def told(http: httpx2.AsyncClient, node: Node, session: str) -> list[dict[str, Any]]:
    """All events of a session as a node tells of them: number, what it came to, and the key that it has appended.

    None by an execution that was lost with its node: it is recorded as undone, beside the one that its client sent
    again under the same idempotency key.
    """
    found: list[dict[str, Any]] = []
    first: int | None = 0
    while first is not None:
        answer = await http.get(f"{node.url}/api/sessions/{session}/events", params={"first": first})
        if answer.status_code == 404:
            return found
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for event in page["events"]:
            code = event.get("code") or ""
            key = code.split("'")[1] if "'" in code and event["status"] == "completed" else None
            found.append({"event": event["event"], "key": key, "result": event.get("result")})
        first = page["next"]
    assert [event["event"] for event in found] == list(range(len(found)))
    return found
