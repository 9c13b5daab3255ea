"""Code that eats time and memory has an outcome of its own, and the session beside it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import trio
from server_process import ServerProcess, running

CALLS = 20

ENDLESS = {
    "loop": "globalThis.touched = true; for (;;);",
    "microtasks": "globalThis.touched = true; (function flood() { Promise.resolve().then(flood) })();",
    "await": "globalThis.touched = true; for (;;) await null",
    "timers": "globalThis.touched = true; await new Promise(() => { (function again() { setTimeout(again) })() })",
    "console": "globalThis.touched = true; for (;;) console.log('x'.repeat(1000))",
    "regexp": "globalThis.touched = true; /(a+)+$/.test('a'.repeat(40) + 'b')",
}

GREEDY = {
    "string": "globalThis.touched = true; let s = ['x'.repeat(2 ** 20)]; for (;;) s.push(s[0] + s.length)",
    "array": "globalThis.touched = true; const a = []; for (;;) a.push(new Array(1000).fill(a))",
    "buffer": "globalThis.touched = true; const b = []; for (;;) b.push(new ArrayBuffer(2 ** 20))",
    "one buffer": "globalThis.touched = true; new ArrayBuffer(2 ** 32)",
    "map": "globalThis.touched = true; const m = new Map(); for (let i = 0; ; i++) m.set(i, [i])",
    "caught": "globalThis.touched = true; const k = []; for (;;) try { k.push(new Uint8Array(2 ** 24)) } catch {}",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One real server for all tests here; each test takes session names of its own."""
    with running("--directory-path", str(tmp_path_factory.mktemp("store"))) as server:
        yield server


def client(server: ServerProcess) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=server.url, timeout=60)


async def start(asking: httpx2.AsyncClient, session: str, code: str) -> str:
    """Start an execution; where it is."""
    begun = await asking.post(
        "/api/exec",
        json={"session": session, "code": code, "execution_timeout_secs": 120},
        headers={"prefer": "respond-async"},
    )
    assert begun.status_code == 202
    return begun.headers["location"]


async def run(asking: httpx2.AsyncClient, session: str, code: str) -> dict[str, Any]:
    response = await asking.post("/api/exec", json={"session": session, "code": code})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert isinstance(answer, dict)
    return answer


async def served(asking: httpx2.AsyncClient, session: str) -> None:
    """A session that counts gets all its answers."""
    results = [
        (await run(asking, session, "globalThis.n = (globalThis.n ?? 0) + 1"))["result"] for _ in range(CALLS)
    ]
    assert results == [str(n + 1) for n in range(CALLS)]


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_session_is_served_while_another_one_never_ends(server: ServerProcess, kind: str) -> None:
    with trio.fail_after(60):
        async with client(server) as asking:
            await run(asking, f"endless-{kind}", "0")
            place = await start(asking, f"endless-{kind}", ENDLESS[kind])
            await served(asking, f"beside-{kind}")
            assert (await asking.get(place)).json()["status"] == "running"
            assert (await asking.post(f"{place}/cancel")).json()["status"] == "cancelled"
            after = await run(asking, f"endless-{kind}", "typeof touched")
    assert after["result"] == "'undefined'"


@pytest.mark.parametrize("kind", GREEDY)
async def test_a_session_is_served_while_another_one_takes_all_memory(
    server: ServerProcess, kind: str
) -> None:
    name = kind.replace(" ", "-")
    with trio.fail_after(60):
        async with client(server) as asking:
            before = await run(asking, f"greedy-{name}", "0")
            place = await start(asking, f"greedy-{name}", GREEDY[kind])
            await served(asking, f"beside-{name}")
            end = (await asking.get(place, params={"wait": 60})).json()
            after = await run(asking, f"greedy-{name}", "typeof touched")
    assert (end["status"], end["heap"]) == ("out_of_memory", before["heap"])
    assert after["result"] == "'undefined'"


async def test_many_hostile_sessions_at_once_leave_room_for_an_honest_one(server: ServerProcess) -> None:
    with trio.fail_after(90):
        async with client(server) as asking:
            hostile = {
                kind: await start(asking, f"many-{kind.replace(' ', '-')}", code)
                for kind, code in {**ENDLESS, **GREEDY}.items()
            }
            await served(asking, "honest")
            for kind, place in hostile.items():
                if kind in GREEDY:
                    status = (await asking.get(place, params={"wait": 60})).json()["status"]
                else:
                    status = (await asking.post(f"{place}/cancel")).json()["status"]
                assert status == ("out_of_memory" if kind in GREEDY else "cancelled"), kind
