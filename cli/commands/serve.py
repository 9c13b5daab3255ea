"""``mcp-v8 serve``: what runs where no command is named."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import click

from cli.choices import DOORS, is_open
from cli.commands.settings import checked, chosen
from cli.options import SettingsCommand


@click.command(cls=SettingsCommand)
@click.pass_context
def serve(ctx: click.Context, /, **_: Any) -> None:
    """Serve REST and MCP over HTTP, or MCP on stdin and stdout (default)."""
    choices, warnings = chosen(ctx)
    if not any(is_open(choices[door]) for door in DOORS):
        _expect_client(ctx)
    settings = checked(ctx, choices)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server has a use for it: no KeyboardInterrupt
    from cli import serve as server  # the engine takes a moment to import: not for --help

    server.run(settings, warnings)


def _expect_client(ctx: click.Context) -> None:
    """Without a port, stdin must lead to a client; on a terminal help is more use than waiting for it."""
    if sys.stdin is not None and sys.stdin.isatty() and ctx.parent is not None:
        click.echo(ctx.parent.get_help())
        ctx.exit(0)
    if not _leads_to_client(0):
        raise click.UsageError(
            "there is no port to serve on: give --http-port PORT, or --stdio and a client on stdin", ctx
        )


def _leads_to_client(descriptor: int) -> bool:
    """Whether somebody may write what is read from it."""
    try:
        status = os.fstat(descriptor)
    except OSError:  # closed
        return False
    return not (stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev)
