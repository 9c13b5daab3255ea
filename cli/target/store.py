"""A store as who answers: an engine in this process, behind the doors of the server."""

from __future__ import annotations

import getpass
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import click
import trio

from cli import environment
from cli.target.client import Client
from cli.target.complaints import complaints_shown
from cli.target.failures import NOT_FOUND, Failed
from cli.target.inprocess import InProcess
from cli.target.use import Use
from engine.limits import LimitPolicy
from engine.opening import open_supervisor
from engine.supervisor import Stores
from persistence.place import Directory, Place, Staged
from persistence.stores import Opened, Seen, open_stores, see_stores
from transports.identity import LOCAL, Identity
from transports.rest.direct import DirectApp
from transports.settings import HttpSettings

DRAIN_SECONDS = 5.0
"""What a command that has changed something gives a last checkpoint."""
RESTORE_TARGET_SECONDS = 0.5
"""As a server has it by default."""
REVISIT_SECONDS = 0.2
"""The same for a command that goes back again and again."""
_NO_CHECKPOINTS = 1e9
"""Seconds that no replay takes."""
_WRITING = ("write", "play")
_LIMITLESS = 1 << 40
"""Bytes: what is asked of a store comes from who has it."""


@asynccontextmanager
async def open_store(
    place: Place | Staged, *, owner: str | None, use: Use
) -> AsyncIterator[Sequence[Client]]:
    """A client for each owner who has sessions in the store, or for the one named, or for nobody's first.

    Raises StoreLocked if it is to be written to and a server has it, StoreMissing if there is none,
    StoreError, Failed for an owner without sessions in a store that is only read.
    """
    where = f"the store in {place.path if isinstance(place, Directory) else place}"
    writes = use in _WRITING
    target_seconds = {"look": _NO_CHECKPOINTS, "revisit": REVISIT_SECONDS}.get(use, RESTORE_TARGET_SECONDS)
    async with (
        complaints_shown(),
        _stores(place, use) as (log, blobs),
        open_supervisor(
            stores=Stores(log, blobs),
            policy=LimitPolicy(),
            cache_dir=environment.cache_directory(),
            max_workers=environment.default_max_workers(environment.memory_bytes()),
            spares=0,
            max_store_bytes=_LIMITLESS,
            max_recovery_seconds=math.inf,
            restore_target_seconds=target_seconds,
            for_command=True,
        ) as engine,
    ):
        settings = HttpSettings(body_bytes=_LIMITLESS, answer_console_bytes=_LIMITLESS)
        app = DirectApp(engine, settings)
        known = sorted(await log.open_sessions())
        if owner is not None and owner not in known and not writes:
            raise Failed(f"{where} has no sessions of {owner}: of {', '.join(known) or 'nobody'}", NOT_FOUND)
        owners = [owner] if owner is not None else known or [LOCAL.owner]
        user = await trio.to_thread.run_sync(_user)
        agent = _agent() if writes else "mcp-v8-cli"
        yield [Client(InProcess(app, where, Identity(one, subject=user), agent), one) for one in owners]
        if use == "write":
            await engine.drain(DRAIN_SECONDS)


def _stores(place: Place | Staged, use: Use) -> AbstractAsyncContextManager[Opened | Seen]:
    if isinstance(place, Staged) or use not in _WRITING:
        return see_stores(place, _tell, revisits=use == "revisit")
    return open_stores(place, only_if_free=True)


def _tell(sentence: str) -> None:
    click.echo(f"mcp-v8: {sentence}", err=True)


def _agent() -> str:
    """What runs the command, for the log."""
    from importlib.metadata import version  # which takes 10 ms, for what only those need who write

    return f"mcp-v8-cli/{version('mcp-v8')}"


def _user() -> str:
    """Who runs the command, for the log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user
        return ""
