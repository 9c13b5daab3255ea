"""The command ``mcp-v8``."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli import config
from cli.choices import DOORS, Choices, ConfigError, choose, is_open
from cli.options import SettingsCommand

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}

_EXAMPLES = """\
Examples:
  mcp-v8 --http-port 8080              serve; sessions are kept below your home
  mcp-v8 --http-port 8080 --stateless  serve without sessions
  mcp-v8 --stdio --session-id demo     serve one client on stdin and stdout
  mcp-v8 --config mcp-v8.toml          serve with the settings of a file
  mcp-v8 config --config mcp-v8.toml   show each setting and where it is from
  claude mcp add --transport http js 'http://localhost:8080/mcp?session=demo'
  curl localhost:8080/api/exec --json '{"code": "1 + 2", "session": "demo"}'
"""


class _DefaultsToServe(click.Group):
    """A group that runs ``serve`` where no command is named, and shows its options in its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--version", *ctx.help_option_names}
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        serve = self.commands["serve"]
        serve.format_options(click.Context(serve, info_name="serve", parent=ctx), formatter)
        self.format_commands(ctx, formatter)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{_EXAMPLES}")


@click.group(cls=_DefaultsToServe, context_settings=_CONTEXT)
@click.version_option(package_name="mcp-v8", message="%(prog)s %(version)s")
def main() -> None:
    """JavaScript sessions that remember, for AI agents: V8 behind MCP and REST.

    mcp-v8 --http-port 8080 serves. Each option, such as --http-port, is also a variable, MCP_V8_HTTP_PORT,
    and a key of a configuration file, http_port. Flag before variable before file before default.
    """


@main.command(cls=SettingsCommand)
@click.pass_context
def serve(ctx: click.Context, /, **_: Any) -> None:
    """Serve REST and MCP over HTTP, or MCP on stdin and stdout (default)."""
    choices, warnings = _choices(ctx)
    if not any(is_open(choices[door]) for door in DOORS):
        _expect_client(ctx)
    settings = _settings(ctx, choices)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server has a use for it: no KeyboardInterrupt
    from cli import serve as server  # the engine takes a moment to import: not for --help

    server.run(settings, warnings)


@main.command("config", cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@click.pass_context
def show_config(ctx: click.Context, /, as_json: bool, **_: Any) -> None:
    """Show each setting, its value and where that came from."""
    choices, warnings = _choices(ctx)
    _settings(ctx, choices)
    for warning in warnings:
        click.echo(f"mcp-v8: {warning}", err=True)
    from cli import show

    click.echo((show.as_json if as_json else show.table)(choices), nl=False)


@main.command("token")
@click.argument("owner")
@click.argument("name", required=False, default="")
def make_token(owner: str, name: str) -> None:
    """Make a token for an OWNER, used by NAME.

    Its line for the file of --tokens goes to stdout, with the token's hash; the token itself, which is kept
    nowhere, to stderr.
    """
    from transports import tokens

    token = tokens.new_token()
    try:
        line = tokens.line(token, owner, name)
    except tokens.BrokenTokens as broken:
        raise click.UsageError(str(broken)) from broken
    click.echo(f"Token of {owner}, shown only now: {token}", err=True)
    click.echo(line)


def _choices(ctx: click.Context) -> tuple[Choices, Sequence[str]]:
    try:
        return choose(ctx)
    except ConfigError as error:
        raise click.UsageError(str(error), ctx) from error


def _settings(ctx: click.Context, choices: Choices) -> config.Settings:
    try:
        return config.settings(choices)
    except ConfigError as error:
        raise click.UsageError(str(error), ctx) from error


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


if __name__ == "__main__":
    main()
