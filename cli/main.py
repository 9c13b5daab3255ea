"""The command ``mcp-v8``: what it can do, by the names of the modules that do it."""

from __future__ import annotations

import importlib
import keyword
from typing import Any

import click
from click.shell_completion import CompletionItem

from cli.entry import INTERRUPTED
from cli.output import terminal

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}

_EXAMPLES = """\
Examples:
  mcp-v8 --http-port 8080              serve; sessions are kept below your home
  mcp-v8 --http-port 8080 --stateless  serve without sessions
  mcp-v8 --stdio --session-id demo     serve one client on stdin and stdout
  mcp-v8 --config mcp-v8.toml          serve with the settings of a file
  mcp-v8 config --config mcp-v8.toml   show each setting and where it is from
  mcp-v8 log demo                      what happened in a session
  mcp-v8 state demo@6 rows.length      what an expression was after event 6
  claude mcp add --transport http js 'http://localhost:8080/mcp?session=demo'
  curl localhost:8080/api/exec --json '{"code": "1 + 2", "session": "demo"}'
"""

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Commands that serve": {
        "serve": ("serve", "Serve REST and MCP over HTTP, or MCP on stdin and stdout."),
        "healthcheck": ("healthcheck", "Whether the server here takes requests."),
        "config": ("config", "Show each setting, its value and where that came from."),
        "selftest": ("selftest", "Check V8, the machine and the sandbox, as a start does."),
        "token": ("token", "Make a token for an owner of sessions."),
    },
    "Commands that look": {
        "sessions": ("sessions", "Which sessions there are."),
        "log": ("log", "What happened in a session; --follow for what happens."),
        "show": ("show", "One event in full."),
        "find": ("find", "Executions in all sessions, by text, time and outcome."),
        "state": ("state", "The variables at a point, or what an expression is there."),
        "diff": ("diff", "What differs between two states."),
        "report": ("report", "A session as one HTML page."),
    },
    "Commands that replay and debug": {
        "replay": ("replay", "Run a session again, and see whether it does what the log says."),
        "bisect": ("bisect", "The first event after which an expression holds."),
    },
    "Commands that run code": {
        "exec": ("exec", "Run JavaScript in a session."),
        "repl": ("repl", "A prompt in a session, or in a copy of a point of its past."),
    },
    "Commands that change sessions": {
        "fork": ("change", "Begin a session at a point of another one."),
        "tag": ("change", "Label a state, or list labels."),
        "accept": ("maintain", "Let a session that diverged go on."),
        "checkpoint": ("maintain", "Make a checkpoint of a session now."),
        "delete": ("change", "Delete sessions."),
    },
    "Commands that keep and check": {
        "export": ("transfer", "Write a session to one portable file."),
        "import": ("transfer", "Take in a session from such a file."),
        "verify": ("verify", "Check that all is stored as it was written."),
        "store": ("store", "copy: a backup of a store, also beside a server."),
        "gc": ("gc", "What a store has that nobody needs; --yes removes it."),
    },
    "Commands for a cluster": {
        "cluster": ("cluster", "status, drain, move: the nodes, and what is where."),
    },
    "Commands for the shell": {
        "completion": ("completion", "What lets a shell complete commands and sessions."),
    },
}
"""The commands: the module of each in ``cli.commands``, imported when it is needed, and what it is for."""

_MODULES = {name: module for commands in COMMANDS.values() for name, (module, _) in commands.items()}


class _Commands(click.Group):
    """A group that runs ``serve`` where no command is named, and shows its options in its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--version", *ctx.help_option_names}
        if not args and ctx.resilient_parsing:  # a shell completes what is typed next
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run what is named; where Ctrl-C comes before that can tell what it means, it is just the end."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # for Click it would be a failure
            ctx.exit(INTERRUPTED)

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in _MODULES:
            return None
        function = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
        command = getattr(importlib.import_module(f"cli.commands.{_MODULES[name]}"), function)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, which are not imported for that, and options, those of ``serve`` too."""
        if not incomplete.startswith("-"):
            return [CompletionItem(name) for name in _MODULES if name.startswith(incomplete)]
        serve = self.get_command(ctx, "serve")
        assert serve is not None
        return [*super().shell_complete(ctx, incomplete), *serve.shell_complete(ctx, incomplete)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])
        serve = self.get_command(ctx, "serve")
        assert serve is not None
        serve.format_options(click.Context(serve, info_name="serve", parent=ctx), formatter)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\n{_EXAMPLES}")


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(package_name="mcp-v8", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """JavaScript sessions that remember, for AI agents: V8 behind MCP and REST.

    mcp-v8 --http-port 8080 serves. Each option, such as --http-port, is also a variable, MCP_V8_HTTP_PORT,
    and a key of a configuration file, http_port. Flag before variable before file before default.
    """
    terminal.prepare(context)


if __name__ == "__main__":
    main()
