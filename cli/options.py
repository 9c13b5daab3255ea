"""What an operator can set: one table, from which flags, variables, configuration keys and help come.

Click reads flags and variables: it is maintained, and comes with Quart. A setting ``--some-name`` is the
variable ``MCP_V8_SOME_NAME`` and the key ``some_name`` of a configuration file as well.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cli import configfile

MAX_PORT = 65_535
LEVELS = ("debug", "info", "warning", "error")
_MIB = 1 << 20
MAX_IMPORT_BYTES = 256 * _MIB
"""By default."""

ALIASES = {"heap_dir": "directory_path", "max_concurrent_executions": "max_workers"}
"""Other names, which older clients know, of settings."""
NO_SETTINGS = ("config", "peers")
"""Options of which no value is kept."""


class Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class Seconds(click.FloatRange):
    """A number in a range, which NaN is in for Click."""

    name = "number of seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Fails for anything else."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


class Directory(click.Path):
    """A directory's path; the empty one would mean the current directory, and ``~`` is the home."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Fails for an empty one, and for a file."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        if "\0" in os.fspath(value):
            self.fail("the path holds a NUL character", param, ctx)
        # what pathlib has for it fails for the home of a user who is not there
        return super().convert(os.path.expanduser(value), param, ctx)  # noqa: PTH111


class Setting(click.Option):
    """An option that a variable sets too."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """What is at fault where a value is wrong."""
        if ctx is not None and ctx.get_parameter_source(self.name) is ParameterSource.ENVIRONMENT:
            return f"the variable {variable(self.name)}"
        return super().get_error_hint(ctx)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return "MCP_V8_" + name.upper()


def _option(flag: str, **settings: Any) -> click.Option:
    name = flag.partition("/")[0].removeprefix("--").replace("-", "_")
    shown = settings.get("default") not in (None, "")
    return Setting([flag], envvar=variable(name), show_default=shown, **settings)


def _number(
    name: str, least: int, default: int | None, most: int, help: str, unit: str = "N"
) -> click.Option:
    kind = Whole(least, most)
    return _option(name, type=kind, default=default, metavar=unit, help=help)


def _seconds(name: str, least: float, default: float, most: float, help: str) -> click.Option:
    return _option(name, type=Seconds(least, most), default=default, metavar="SECONDS", help=help)


def _read_config(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    if path is not None:
        ctx.default_map = configfile.read(path, SETTINGS, ctx)
    return path


def _refuse_peers(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            "there is no --peers: servers find each other through etcd, which is --cluster-etcd", ctx
        )


GROUPS: dict[str, tuple[click.Option, ...]] = {
    "Serving": (
        _number(
            "--http-port",
            0,
            None,
            MAX_PORT,
            "Port for REST and MCP; 0 for any free one.  [default: $PORT]",
            "PORT",
        ),
        _number(
            "--sse-port",
            0,
            None,
            MAX_PORT,
            "The same with MCP over SSE as well, at /sse, for clients that know nothing newer.",
            "PORT",
        ),
        _option(
            "--stdio",
            is_flag=True,
            help="Serve MCP on stdin and stdout instead of a port; so it is where stdin is a pipe.",
        ),
        _option(
            "--session-id",
            metavar="NAME",
            help="On stdio, the session of calls that name none.  [default: a new one]",
        ),
        _option(
            "--tools",
            type=click.Choice(["default", "all"]),
            default="default",
            help="Which MCP tools are listed; the others can be called all the same.",
        ),
        _option("--bind-host", default="127.0.0.1", metavar="HOST", help="Address to listen on."),
        _option(
            "--allowed-hosts",
            metavar="NAMES",
            default="",
            help="Names, separated by commas, under which clients may reach the server, beside localhost; "
            "* for any.",
        ),
        _option(
            "--allowed-origins",
            metavar="ORIGINS",
            default="",
            help="Origins, such as https://app.example.com, whose pages may call the server from a browser, "
            "beside those of the allowed hosts; * for any.",
        ),
        _option(
            "--tokens",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="FILE",
            help="Bearer tokens and their owners, a line each: clients need one. mcp-v8 token makes them.",
        ),
        _option("--exec-async", is_flag=True, help="POST /api/exec answers 202 at once; clients poll."),
        _seconds("--drain-seconds", 0, 5.0, 3_600, "Time that running executions get at shutdown."),
    ),
    "Store": (
        _option(
            "--directory-path",
            type=Directory(path_type=Path, file_okay=False, readable=False),
            metavar="DIR",
            help="Where the event log is.  [default: $STATE_DIRECTORY, $XDG_STATE_HOME/mcp-v8, or "
            "~/.local/state/mcp-v8]",
        ),
        _option(
            "--stateless", is_flag=True, help="Keep nothing: every execution in a fresh V8, no sessions."
        ),
        _option(
            "--stateless-isolation",
            type=click.Choice(["process", "context"]),
            default="process",
            help="With --stateless, what each execution has for itself: a process; or a V8 context alone, "
            "which is faster and no wall between executions of one owner.",
        ),
        _option(
            "--heap-store",
            type=click.Choice(["dir", "s3", "none"]),
            help="Another way to say it: none is --stateless, dir a directory, s3 a bucket.",
        ),
        _option(
            "--heap-dir",
            type=Directory(path_type=Path, file_okay=False, readable=False),
            metavar="DIR",
            help="Another name of --directory-path.",
        ),
        _option(
            "--s3-bucket",
            metavar="BUCKET",
            help="Keep log and checkpoints in this bucket of S3, or of what speaks it. Credentials, region "
            "and endpoint are found as by all AWS tools: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL and so on.",
        ),
        _option(
            "--s3-prefix",
            metavar="PREFIX",
            default="",
            help="What all keys in the bucket begin with; one for each store.",
        ),
        _option(
            "--s3-path-style/--no-s3-path-style",
            default=None,
            help="Whether the bucket is in the path of URLs, not in the name of the host.  "
            "[default: where an endpoint is given]",
        ),
        _option(
            "--s3-encryption",
            type=click.Choice(["AES256", "aws:kms", "aws:kms:dsse"]),
            help="How S3 encrypts what is stored.  [default: as the bucket has it]",
        ),
        _option("--s3-kms-key", metavar="KEY", help="Its id or ARN, for aws:kms."),
        _option(
            "--cache-dir",
            type=Directory(path_type=Path, file_okay=False),
            metavar="DIR",
            help="With a bucket: keep here what then need not be read from it again. Safe to delete.",
        ),
        _number(
            "--cache-max-bytes",
            0,
            1 << 30,
            1 << 50,
            "What checkpoints in that cache may take; those used last are kept.",
            "BYTES",
        ),
        _number(
            "--max-store-mb",
            1,
            65_536,
            1 << 30,
            "What log and checkpoints may take; then only what makes room is stored.",
            "MB",
        ),
        _seconds(
            "--session-ttl",
            0,
            604_800.0,
            315_360_000,
            "Time without use after which a session without a name of its own is deleted; 0: never.",
        ),
    ),
    "Cluster": (
        _option(
            "--cluster-etcd",
            metavar="URLS",
            help="Be a node of a cluster: its etcd's members, as http://a:2379,http://b:2379.",
        ),
        _number(
            "--cluster-etcd-quota-mb",
            16,
            2_048,
            1_048_576,
            "What each member of etcd may take: its --quota-backend-bytes.",
            "MB",
        ),
        _option("--cluster-name", default="mcp-v8", metavar="NAME", help="Of several in one etcd, which."),
        _option(
            "--node-id", metavar="ID", help="Another one for each node.  [default: the name of the machine]"
        ),
        _option(
            "--advertise-addr",
            metavar="HOST:PORT",
            help="Where other nodes reach this one.  [default: name of the machine, and the port]",
        ),
        _option(
            "--cluster-secret-file",
            type=Directory(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="What all nodes know and nobody else; MCP_V8_CLUSTER_SECRET holds it, too.",
        ),
        _number(
            "--cluster-ttl",
            2,
            5,
            60,
            "After so long a node that is silent loses its sessions to others.",
            "SECONDS",
        ),
    ),
    "Workers": (
        _number(
            "--max-workers", 1, None, 10_000, "Live sessions at once; the others sleep.  [default: by memory]"
        ),
        _option(
            "--sandbox",
            type=click.Choice(["auto", "strict", "off"]),
            default="auto",
            help="auto demands a filter of system calls and takes what else the kernel has; strict demands "
            "every layer; off is for machines that have no filter.",
        ),
        _number("--max-concurrent-executions", 1, None, 10_000, "Another name of --max-workers."),
        _option(
            "--pin-cpus/--no-pin-cpus",
            default=None,
            help="Give the server a processor of its own and its workers the others.  "
            "[default: with sessions, on 2 or 3 processors]",
        ),
    ),
    "Checkpoints": (
        _seconds(
            "--restore-target",
            0,
            0.5,
            3_600,
            "Time in which a session should be rebuilt; 0 makes a checkpoint after every execution.",
        ),
        _seconds(
            "--max-recovery-seconds",
            1,
            600.0,
            86_400,
            "Time after which rebuilding a session is put off; the next try goes on from there.",
        ),
        _seconds("--idle-seconds", 1, 600.0, 604_800, "Time after which a session without requests sleeps."),
    ),
    "Limits of an execution": (
        _seconds("--execution-timeout", 0.001, 30.0, 86_400, "Time, unless the request says otherwise."),
        _seconds("--max-execution-timeout", 0.001, 300.0, 86_400, "Most time that a request gets."),
        _seconds("--max-cpu-seconds", 0.001, 300.0, 86_400, "CPU time that an execution gets."),
        _number("--heap-memory", 16, 128, 4_096, "V8 heap, unless the request says otherwise.", "MB"),
        _number("--heap-memory-max", 16, 1_024, 4_096, "Most V8 heap that a request gets.", "MB"),
        _number("--max-offheap-memory", 1, 128, 4_096, "Memory of ArrayBuffers, outside of V8's heap.", "MB"),
        _number("--max-code-bytes", 1, _MIB, 4 * _MIB, "Length of the code."),
        _number("--max-input-chars", 1, 4 * _MIB, 4 * _MIB, "Length of the input as JSON."),
        _number("--max-console-bytes", 1_024, _MIB, 16 * _MIB, "Console kept; what comes after is counted."),
        _number("--max-result-chars", 256, 65_536, 4 * _MIB, "Text of the result, and of its JSON."),
        _number("--max-timers", 1, 10_000, 100_000, "Timers pending at once."),
        _number("--max-clock-reads", 1, 100_000, 1_000_000, "Changes of the clock that code can see."),
    ),
    "Limits of the server": (
        _number("--max-body-bytes", 1_024, 4 * _MIB, 64 * _MIB, "Length of a request's body."),
        _number(
            "--max-answer-console-bytes",
            0,
            64_000,
            16 * _MIB,
            "Console in an answer; pages have the rest.",
        ),
        _number("--max-mcp-chars", 4_000, 16_000, _MIB, "Text of an answer to run_js."),
        _number("--max-queue", 1, 64, 10_000, "Executions waiting for one session."),
        _number("--max-executions", 1, 10_000, 1_000_000, "Executions waiting and running in all."),
        _number(
            "--max-session-events", 1, 1_000_000, 100_000_000, "Events after which a session takes no more."
        ),
        _number("--max-connections", 1, 1_000, 100_000, "Connections that are open at once."),
        _number(
            "--max-requests-per-second",
            0,
            2_000,
            1_000_000,
            "Requests of an owner, or without tokens of an address; 0: any number.",
        ),
        _number(
            "--max-import-bytes",
            0,
            MAX_IMPORT_BYTES,
            1 << 40,
            "Length of an imported file, unpacked; 0: none is taken.",
        ),
        _number("--max-owner-sessions", 1, 100_000, 100_000_000, "Sessions that one owner may have."),
    ),
    "Logging": (
        _option(
            "--log-level",
            type=click.Choice(LEVELS),
            default="info",
            help="What is logged to stderr; RUST_LOG sets it too.",
        ),
        _option(
            "--log-format", type=click.Choice(["text", "json"]), default="text", help="How it is logged."
        ),
    ),
    "Settings": (
        _option(
            "--config",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            metavar="FILE",
            is_eager=True,
            callback=_read_config,
            help="Settings in TOML or JSON, under the names of the flags.",
        ),
        _option("--peers", hidden=True, expose_value=False, callback=_refuse_peers),
    ),
}

SETTINGS = {
    option.name: option
    for options in GROUPS.values()
    for option in options
    if option.name is not None and option.name not in NO_SETTINGS
}
"""The settings, by the names of their keys."""


class SettingsCommand(click.Command):
    """A command that takes all settings, and shows them in groups."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.own = self.params
        """Options that are no settings."""
        self.params = [*self.own, *(option for options in GROUPS.values() for option in options)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write every option's help."""
        help_option = self.get_help_option(ctx)
        groups = {**GROUPS, "Other": (*self.own, *([] if help_option is None else [help_option]))}
        for title, options in groups.items():
            records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            with formatter.section(title):
                formatter.write_dl(records, col_max=26)
