"""The command ``mcp-v8``: what it can do, by the names of the modules that do it."""

from __future__ import annotations

import importlib
import keyword

import click
from click.shell_completion import CompletionItem

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

COMMANDS = {
    "Commands that serve": {"serve": "serve", "config": "config", "token": "token"},
    "Commands that look": {
        "sessions": "sessions",
        "log": "log",
        "show": "show",
        "find": "find",
        "state": "state",
        "diff": "diff",
        "report": "report",
    },
    "Commands that replay and debug": {"replay": "replay", "bisect": "bisect"},
    "Commands that run code": {"exec": "exec", "repl": "repl"},
    "Commands that change sessions": {
        "fork": "change",
        "tag": "change",
        "accept": "maintain",
        "checkpoint": "maintain",
        "delete": "change",
    },
    "Commands that keep and check": {
        "export": "transfer",
        "import": "transfer",
        "verify": "verify",
        "gc": "gc",
    },
    "Commands for the shell": {"completion": "completion"},
}
"""The commands, each with its module in ``cli.commands``, which is imported when it is needed."""

_MODULES = {name: module for commands in COMMANDS.values() for name, module in commands.items()}


class _Commands(click.Group):
    """A group that runs ``serve`` where no command is named, and shows its options in its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--version", *ctx.help_option_names}
        if not args and ctx.resilient_parsing:  # a shell completes what is typed next
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

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
        for title, names in COMMANDS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(name, one.get_short_help_str(66)) for name, one in commands if one])
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
