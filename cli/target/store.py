"""A store as who answers: an engine in this process, behind the doors of the server."""

from __future__ import annotations

import getpass
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import trio

from cli import environment
from cli.target.client import Client
from cli.target.failures import NOT_FOUND, Failed
from cli.target.inprocess import InProcess
from engine.limits import LimitPolicy
from engine.supervisor import Stores, open_supervisor
from persistence.directory_blobs import DirectoryBlobStore
from persistence.schema import DATABASE_NAME
from persistence.sqlite import open_sqlite_log
from transports.identity import LOCAL, Identity
from transports.rest.direct import DirectApp
from transports.settings import HttpSettings

DRAIN_SECONDS = 5.0
"""What a command that has changed something gives a last checkpoint."""
_LIMITLESS = 1 << 40
"""Bytes: what is asked of a store comes from who has it."""


@asynccontextmanager
async def open_store(directory: Path, *, owner: str | None, writes: bool) -> AsyncIterator[Sequence[Client]]:
    """A client for each owner who has sessions in the store, or for the one named, or for nobody's first.

    It is owned if the command ``writes``. Raises StoreLocked if a server has it then, Failed if there is
    none, StoreError.
    """
    if not (directory / DATABASE_NAME).is_file() and not writes:
        raise Failed(
            f"there is no store in {directory}: give --directory-path, or --url for a server", NOT_FOUND
        )
    where = f"the store in {directory}"
    async with (
        open_sqlite_log(directory) as log,
        open_supervisor(
            stores=Stores(log, DirectoryBlobStore(directory)),
            policy=LimitPolicy(),
            cache_dir=environment.cache_directory(),
            max_workers=environment.default_max_workers(),
            spares=0,
            max_store_bytes=_LIMITLESS,
            max_recovery_seconds=math.inf,
            for_command=True,
        ) as engine,
    ):
        settings = HttpSettings(body_bytes=_LIMITLESS, answer_console_bytes=_LIMITLESS)
        app = DirectApp(engine, settings)
        owners = [owner] if owner is not None else sorted(await log.open_sessions()) or [LOCAL.owner]
        user = await trio.to_thread.run_sync(_user)
        agent = f"mcp-v8-cli/{version('mcp-v8')}" if writes else "mcp-v8-cli"
        yield [Client(InProcess(app, where, Identity(one, subject=user), agent), one) for one in owners]
        if writes:
            await engine.drain(DRAIN_SECONDS)


def _user() -> str:
    """Who runs the command, for the log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user
        return ""
