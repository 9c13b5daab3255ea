"""The command ``mcp-v8``.

Click reads the command line: it is maintained, it comes with Quart, so it costs no dependency, and it
knows flags, environment variables, defaults and their order.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from cli import config, logs
from engine.placement import place
from transports.settings import HttpSettings

F = TypeVar("F", bound=Callable[..., Any])

_PREFIX = "MCP_V8_"
_NO_NAMES = ("", "0.0.0.0", "::")  # noqa: S104 (an address for listening is nothing that a client asks for)
_MAXIMA = {"execution_timeout": "max_execution_timeout", "heap_memory": "heap_memory_max"}
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _DefaultsToServe(click.Group):
    """A group that runs ``serve`` where the first word is no command, and shows its options in its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--version", *ctx.help_option_names}
        if not args or (args[0] not in own and args[0] not in self.commands):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        serve = self.commands["serve"]
        serve.format_options(click.Context(serve, info_name="serve", parent=ctx), formatter)
        self.format_commands(ctx, formatter)


class _Seconds(click.FloatRange):
    """A number in a range, which NaN is in for Click."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


class _Directory(click.Path):
    """A directory's path; the empty one would mean the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


def _option(name: str, **settings: Any) -> Callable[[F], F]:
    """An option that ``MCP_V8_NAME`` sets too."""
    variable = _PREFIX + name.removeprefix("--").replace("-", "_").upper()
    settings.setdefault("envvar", variable)
    return click.option(name, show_default=settings.get("default") is not None, **settings)


@click.group(cls=_DefaultsToServe, context_settings=_CONTEXT)
@click.version_option(package_name="mcp-v8", message="%(prog)s %(version)s")
def main() -> None:
    """JavaScript sessions that remember, for AI agents: V8 behind MCP and REST.

    mcp-v8 --http-port 8080 serves. Each option can also be set by an environment variable: MCP_V8_ and
    its name in capitals, such as MCP_V8_HTTP_PORT. Flag before variable before default.
    """


@main.command()
@_option(
    "--http-port",
    type=click.IntRange(0, config.MAX_PORT),
    metavar="PORT",
    help="Port for REST and MCP; 0 for any free one. PORT is the last fallback.",
)
@_option("--bind-host", default="127.0.0.1", metavar="HOST", help="Address to listen on.")
@_option(
    "--allowed-hosts",
    metavar="NAMES",
    default="",
    help="Names, separated by commas, under which clients may reach the server, beside localhost; * for any.",
)
@_option(
    "--directory-path",
    type=_Directory(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the event log is.  [default: $XDG_STATE_HOME/mcp-v8, or ~/.local/state/mcp-v8]",
)
@_option("--stateless", is_flag=True, help="Keep nothing: every execution in a fresh V8, no sessions.")
@_option("--exec-async", is_flag=True, help="POST /api/exec answers 202 at once; clients poll.")
@_option(
    "--pin-cpus/--no-pin-cpus",
    default=None,
    help="Give the server a processor of its own and its workers the others.  "
    "[default: with sessions, on 2 or 3 processors]",
)
@_option(
    "--max-workers",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Live sessions at once; the others sleep.  [default: by memory]",
)
@_option(
    "--execution-timeout",
    type=_Seconds(0.001, 86_400),
    default=30.0,
    metavar="SECONDS",
    help="Time of an execution, unless the request says otherwise.",
)
@_option(
    "--max-execution-timeout",
    type=_Seconds(0.001, 86_400),
    default=300.0,
    metavar="SECONDS",
    help="Most that a request gets.",
)
@_option(
    "--heap-memory",
    type=click.IntRange(16, 4_096),
    default=128,
    metavar="MB",
    help="V8 heap of an execution, unless the request says otherwise.",
)
@_option(
    "--heap-memory-max",
    type=click.IntRange(16, 4_096),
    default=1_024,
    metavar="MB",
    help="Most that a request gets.",
)
@_option(
    "--max-session-events",
    type=click.IntRange(1, 100_000_000),
    default=1_000_000,
    metavar="N",
    help="Events after which a session takes no more.",
)
@_option(
    "--drain-seconds",
    type=_Seconds(0, 3_600),
    default=5.0,
    metavar="SECONDS",
    help="Time that running executions get at shutdown.",
)
@_option("--log-level", type=click.Choice(logs.LEVELS), default="info", help="What is logged to stderr.")
@_option("--log-format", type=click.Choice(["text", "json"]), default="text", help="How it is logged.")
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> None:
    """Serve REST and MCP over HTTP until SIGTERM or SIGINT (the default command)."""
    for usual, most in _MAXIMA.items():
        if ctx.get_parameter_source(usual) is ParameterSource.DEFAULT:
            options[usual] = min(options[usual], options[most])
    try:
        if options["http_port"] is None:
            options["http_port"] = config.port_variable()
        if options["http_port"] is None:
            _no_port(ctx)
        settings = _settings(options)
    except config.ConfigError as error:
        raise click.UsageError(str(error), ctx) from error
    logs.configure(options["log_level"], options["log_format"])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the server has a use for it: no KeyboardInterrupt
    from cli import serve as server  # the engine takes a moment to import: not for --help

    server.run(settings)


def _no_port(ctx: click.Context) -> None:
    """On a terminal help is more use than an error."""
    if sys.stdin.isatty() and ctx.parent is not None:
        click.echo(ctx.parent.get_help())
        ctx.exit(0)
    raise click.UsageError("there is no port to serve on: give --http-port PORT", ctx)


def _settings(options: dict[str, Any]) -> config.Settings:
    policy = config.limit_policy(
        execution_timeout=options["execution_timeout"],
        max_execution_timeout=options["max_execution_timeout"],
        heap_memory=options["heap_memory"],
        heap_memory_max=options["heap_memory_max"],
        session_events=options["max_session_events"],
    )
    bound = options["bind_host"].strip()
    hosts = config.host_names(options["allowed_hosts"]) + (() if bound in _NO_NAMES else (bound,))
    store = config.store_directory(options["directory_path"], stateless=options["stateless"])
    return config.Settings(
        bind_host=options["bind_host"],
        http_port=options["http_port"],
        store=store,
        cache_dir=config.cache_directory(),
        max_workers=options["max_workers"] or config.default_max_workers(),
        placement=place(
            os.sched_getaffinity(0),
            # executions without sessions are nearly all worker: they need every processor
            pin=False if options["stateless"] and options["pin_cpus"] is None else options["pin_cpus"],
        ),
        policy=policy,
        http=HttpSettings(
            allowed_hosts=hosts,
            exec_async=options["exec_async"],
            drain_seconds=options["drain_seconds"],
            store="none" if store is None else f"sqlite:{store}",
        ),
    )


if __name__ == "__main__":
    main()
