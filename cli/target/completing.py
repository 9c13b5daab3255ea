"""Names of sessions, and of nodes, for a shell that completes a command line: quickly, or none.

A store is read without an engine; one that would have to be copied first is passed over. Whatever goes wrong
is no business of somebody who is typing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, NoReturn

import trio

from cli import environment
from cli.target.failures import Failed

SECONDS = 1.0
"""What a shell waits for at most."""
MAX_NAMES = 200
_MAX_LOOKED_AT = 5_000


def session_names(options: Mapping[str, Any], begin: str) -> list[str]:
    """Names that begin so, of the target that a command's options name, last used first."""
    return _quickly(_names, options, begin)


def node_ids(options: Mapping[str, Any], begin: str) -> list[str]:
    """Ids that begin so, of the nodes of the cluster whose server a command's options name."""
    return _quickly(_nodes, options, begin)


def _quickly(
    find: Callable[[Mapping[str, Any], str], Awaitable[list[str]]], options: Mapping[str, Any], begin: str
) -> list[str]:
    try:
        return trio.run(find, options, begin)
    except Exception:  # noqa: BLE001 (a traceback between two keystrokes helps nobody)
        return []


async def _nodes(options: Mapping[str, Any], begin: str) -> list[str]:
    from cli.target.server import open_server
    from cluster.status import ClusterStatus

    with trio.move_on_after(SECONDS):
        async with open_server(options["url"], options.get("token")) as client:
            told = await client.ask(ClusterStatus, "GET", "/api/cluster")
            return [one.node for one in told.nodes if one.node.startswith(begin)]
    return []


async def _names(options: Mapping[str, Any], begin: str) -> list[str]:
    found: list[str] = []
    with trio.move_on_after(SECONDS):
        if options.get("url"):
            await _of_server(options["url"], options.get("token"), begin, found)
        else:
            directory = options.get("directory_path") or environment.state_directory()
            await _of_store(directory, options.get("owner"), begin, found)
    return found


async def _of_server(url: str, token: str | None, begin: str, found: list[str]) -> None:
    from cli.target import pages
    from cli.target.server import open_server

    looked_at = 0
    async with open_server(url, token) as client, aclosing(pages.sessions(client, {})) as every:
        async for one in every:
            looked_at += 1
            if one.session.startswith(begin):
                found.append(one.session)
            if len(found) == MAX_NAMES or looked_at == _MAX_LOOKED_AT:
                return


async def _of_store(directory: Path, owner: str | None, begin: str, found: list[str]) -> None:
    from persistence.readonly import open_sqlite_reader

    looked_at = 0
    async with open_sqlite_reader(directory, _too_slow) as log:
        for one in [owner] if owner else sorted(await log.open_sessions()):
            after = None
            while len(found) < MAX_NAMES and looked_at < _MAX_LOOKED_AT:
                page = await log.sessions(one, limit=1_000, after=after)
                looked_at += len(page.items)
                found += [row.name for row in page.items if row.name.startswith(begin)]
                if (after := page.next) is None:
                    break
    del found[MAX_NAMES:]


def _too_slow(_: str) -> NoReturn:
    raise Failed("a copy would have to be made")
