"""The same execution through each door, beside the no-op: `/api/exec` and both eras of `/mcp`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import mcp_requests
from benchmarks.measure import CLIENTS, COUNT, NOOP_MANY, NOOP_ONE, Sample, Scenario, execute, rounds
from benchmarks.processes import Server, mcp_v8, noop_server

SERVER, BARE = "server", "bare"
BARE_NAME = "no-op on our connections"
REST, MCP, MCP_SESSIONLESS = "`POST /api/exec`", "`/mcp` with sessions", "`/mcp` of 2026-07-28"
WENT_WELL = '"isError":false'


def measured(folder: Path, count: int, seconds: float) -> dict[Scenario, list[Sample]]:
    """Samples of every door with many clients and with one, ``count`` rounds of ``seconds`` each."""
    with (
        noop_server() as noop,
        noop_server("bare") as bare,
        mcp_v8("--directory-path", str(folder)) as server,
    ):
        servers = {"noop": noop, BARE: bare, SERVER: server}
        return rounds(servers, scenarios(server), count, seconds)


def scenarios(server: Server) -> Sequence[Scenario]:
    """The doors. Opens MCP's sessions, one for each client."""
    return (NOOP_MANY, bare(CLIENTS), *doors(server, CLIENTS), NOOP_ONE, bare(1), *doors(server, 1))


def bare(clients: int) -> Scenario:
    """What the connections below the doors take by themselves."""
    return Scenario(name=BARE_NAME, server=BARE, requests=(execute(COUNT),) * clients)


def doors(server: Server, clients: int) -> Sequence[Scenario]:
    """All doors, with so many clients, each with a session of its own behind each door."""
    names = [f"{clients}-{i}" for i in range(clients)]
    rest = tuple(execute(COUNT, f"rest-{name}") for name in names)
    opened = [mcp_requests.open_session(server.port) for _ in names]
    calls = tuple(
        mcp_requests.call(mcp_session, COUNT, f"mcp-{name}")
        for mcp_session, name in zip(opened, names, strict=True)
    )
    sessionless = tuple(mcp_requests.sessionless_call(COUNT, f"sessionless-{name}") for name in names)
    return (
        Scenario(name=REST, server=SERVER, requests=rest),
        Scenario(name=MCP, server=SERVER, requests=calls, expect=WENT_WELL),
        Scenario(name=MCP_SESSIONLESS, server=SERVER, requests=sessionless, expect=WENT_WELL),
    )
