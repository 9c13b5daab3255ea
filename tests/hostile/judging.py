"""Runs a hostile script in a session of its own, over HTTP, and says what was not as documented."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import httpx2
import trio
from attacks.script import Outcome, Script
from msgspec import UNSET
from server_process import ServerProcess

SETUP = """const kept = { __proto__: null, touched: false, list: [1, { a: 2 }] }
const next = (() => { let n = 0; return () => ++n })()
next()"""
MARK = "kept.touched = true;\n"
"""What comes before a script: its trace."""
PROBE = "`${next()} ${kept.touched} ${kept.list[1].a}`"
"""Reads the state with nothing that a script could have tampered with."""
PROBE_SECONDS = 10.0
COUNT = "globalThis.n = (globalThis.n ?? 0) + 1"
FEWEST_ANSWERS = 10
"""What a neighbour gets in any case."""
PACE_SECONDS = 0.02
"""Between two calls of a neighbour, which is no load test."""

WAIT = {"prefer": "wait=100"}
"""Longer than any script may take."""
MAX_ANSWER_BYTES = 3 << 20
"""Of an execution's answer: its texts at their limits, each character as an escape of six bytes."""
LOOK_REFUSALS = {413: "too_large", 429: "busy"}
"""What a look at too many variables may be answered."""

Json = dict[str, Any]


class Wrong(Exception):
    """Something was not as documented."""


def client(server: ServerProcess) -> httpx2.AsyncClient:
    """A client of the server that waits longer than any script may take."""
    return httpx2.AsyncClient(base_url=server.url, timeout=120, headers=WAIT)


async def execute(asking: httpx2.AsyncClient, session: str, code: str, **fields: object) -> Json:
    """Run code and wait for its end."""
    fields = {"session": session, "code": code, **fields}
    return told(await asking.post("/api/exec", json=fields))


async def judge(asking: httpx2.AsyncClient, session: str, script: Script) -> str | None:
    """Run a script between two honest calls; what was wrong, or None. Leaves no session."""
    forks: list[str] = []
    try:
        await _judge(asking, session, script, forks)
    except Wrong as wrong:
        return str(wrong)
    finally:
        for name in (*forks, session):
            await asking.delete(f"/api/sessions/{name}")
    return None


async def _judge(asking: httpx2.AsyncClient, session: str, script: Script, forks: list[str]) -> None:
    before = await execute(asking, session, SETUP)
    headers = {"content-type": "application/json"}
    answer = told(await asking.post("/api/exec", content=script.body(session, MARK), headers=headers))
    outcome = _outcome(answer)
    if not any(_agree(outcome, one) for one in script.outcomes):
        raise Wrong(f"came to {outcome}, {answer['error']!r:.300}")
    if outcome.undone != (answer["heap"] == before["heap"]):
        raise Wrong("its state is not the one before" if outcome.undone else "it left no state")
    await _look(asking, session)
    if script.later:
        await _check_later(asking, session, script.later, forks)
        return
    expected = f"'2 {str(not outcome.undone and not script.is_whole).lower()} 2'"
    await _probe(asking, session, expected)
    forks.append(await _probe(asking, f"{session}@2", expected))  # replays it


async def _check_later(
    asking: httpx2.AsyncClient, session: str, statuses: tuple[str, ...], forks: list[str]
) -> None:
    """A later call comes to one of these; a fork of the state before the script is free of it."""
    later = await execute(asking, session, PROBE, execution_timeout_secs=0.25, heap_memory_max_mb=16)
    if later["status"] not in statuses:
        raise Wrong(f"the call after it came to {later['status']}")
    forked = told(await asking.post(f"/api/sessions/{session}/fork", json={"event": 1}), 201)
    forks.append(forked["session"])
    await _probe(asking, forked["session"], "'2 false 2'")


async def _probe(asking: httpx2.AsyncClient, session: str, expected: str) -> str:
    """Compare the state; the name of the session that was asked."""
    later = await execute(asking, session, PROBE, execution_timeout_secs=PROBE_SECONDS)
    if (later["status"], later["result"]) != ("completed", expected):
        raise Wrong(f"{session} is {later['result'] or later['error']!r:.300} after it instead of {expected}")
    return str(later["session"])


async def _look(asking: httpx2.AsyncClient, session: str) -> None:
    """All that is told of the session is JSON of bounded size, too."""
    told(await asking.get(f"/api/sessions/{session}/events", params={"first": 2}))
    state = await asking.get(f"/api/sessions/{session}/state")
    if state.status_code == 200:
        told(state)
    elif told(state, state.status_code)["code"] != LOOK_REFUSALS.get(state.status_code):
        raise Wrong(f"its variables were refused: {state.text:.300}")


def told(response: httpx2.Response, status: int = 200) -> Json:
    """The object of an answer, which is strict JSON in UTF-8 and of bounded size."""
    if response.status_code != status:
        raise Wrong(f"was answered {response.status_code}: {response.text:.300}")
    if len(response.content) > MAX_ANSWER_BYTES:
        raise Wrong(f"was answered with {len(response.content)} bytes")
    value = json.loads(response.content.decode("utf-8", "strict"), parse_constant=_refuse)
    if not isinstance(value, dict):
        raise Wrong("was answered with no object")
    return value


def _refuse(constant: str) -> NoReturn:
    raise Wrong(f"was answered with {constant}, which is no JSON")


def _outcome(answer: Json) -> Outcome:
    detail = answer["error_detail"] or {}
    return Outcome(
        answer["status"], detail.get("name"), bool(detail.get("undone")), (answer["result"] or "")[:1_000]
    )


def _agree(outcome: Outcome, documented: Outcome) -> bool:
    return (
        (outcome.status, outcome.undone) == (documented.status, documented.undone)
        and documented.error in (outcome.error, None)
        and documented.result in (outcome.result, UNSET)
    )


@asynccontextmanager
async def neighbour(asking: httpx2.AsyncClient, session: str) -> AsyncIterator[None]:
    """An honest session that counts beside the block, and gets all its answers. It is gone after it."""
    over = trio.Event()

    async def count() -> None:
        number = 0
        while number < FEWEST_ANSWERS or not over.is_set():
            number += 1
            answer = await execute(asking, session, COUNT)
            assert (answer["status"], answer["result"]) == ("completed", str(number)), answer
            await trio.sleep(PACE_SECONDS)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        yield
        over.set()
    await asking.delete(f"/api/sessions/{session}")
