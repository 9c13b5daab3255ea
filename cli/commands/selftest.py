"""``mcp-v8 selftest``: whether this machine runs V8 as the program needs it, without a server."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import get_args

import click
import trio

from cli import environment
from cli.options import variable
from engine.errors import PlatformRefused, WorkerFailed
from engine.isolate import image, native
from engine.isolate.sandbox.layers import Mode
from engine.isolate.selftest import CHECKS
from engine.zygote import start_zygote

_DATA_MB = 512
"""Private writable memory of a worker: none is started."""


@click.command("selftest")
@click.option(
    "--sandbox",
    type=click.Choice(get_args(Mode)),
    default="auto",
    show_default=True,
    envvar=variable("sandbox"),
    help="Which layers there must be, as for the server.",
)
@click.pass_context
def selftest(ctx: click.Context, sandbox: Mode) -> None:
    """Check V8, the machine and the sandbox as a server does at its start: status 1 with what differs.

    Everything is checked, also what has passed before. The base image is kept in $XDG_CACHE_HOME/mcp-v8, or
    ~/.cache/mcp-v8, and so is that all is well: servers start faster then. The image is also kept where V8 is
    not as it should be.

    \b
    mcp-v8 selftest
    XDG_CACHE_HOME=/var/cache mcp-v8 selftest              for the servers that are started so
    """
    folder = environment.cache_directory()
    try:
        told = trio.run(_test, folder, sandbox)
    except (PlatformRefused, WorkerFailed) as refused:
        click.echo(f"mcp-v8: {refused.message}", err=True)
        ctx.exit(1)
    click.echo(told)


async def _test(folder: Path, sandbox: Mode) -> str:
    """What there is to tell of a machine that is fit. Raises PlatformRefused, WorkerFailed."""
    zygote = await start_zygote(
        {}, cache_dir=folder, data_budget_mb=_DATA_MB, sandbox=sandbox, test_again=True
    )
    try:
        kept = image.file_name(zygote.engine_id, image.program_id())
        is_kept = await trio.Path(folder / kept).exists()
        cache = f"kept in {folder}" if is_kept else f"{folder} cannot be written: each start makes it again"
        return (
            f"V8 {native.V8_VERSION} of mini-racer {native.MINI_RACER_VERSION} on {native.machine()}, "
            f"Linux {platform.release()}: all is well\n"
            f"Checked: {', '.join(CHECKS)}\n"
            f"Engine: {zygote.engine_id}\n"
            f"Sandbox: {zygote.sandbox.describe()}\n"
            f"Base image: {cache}"
        )
    finally:
        await zygote.aclose()
