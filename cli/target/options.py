"""The options by which a command is told whom to ask, and the way from there to a client."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

import click
import trio
from click.core import ParameterSource
from msgspec import Struct

from cli import environment
from cli.entry import INTERRUPTED
from cli.options import SETTINGS, variable
from cli.options import Directory as DirectoryPath
from cli.output import terminal
from cli.output.text import visible
from cli.target.client import Client
from cli.target.failures import USAGE, Failed, failed_with, only
from cli.target.use import Use
from engine.errors import EngineError, StoreLocked
from persistence.place import Bucket, Directory, Place
from persistence.s3.objects import Refused
from persistence.s3.settings import Settings

P = ParamSpec("P")


class _Address(click.ParamType[str]):
    """Where a server is, as ``http://localhost:8080``, or with a path where a proxy has it below one."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address as it is. Fails for what is none."""
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, an open bracket
            is_address = False
        if is_address and (parts.username is not None or parts.password is not None):
            self.fail("an address has no name and password in it here: give --token", param, ctx)
        if not is_address or not value.isprintable() or re.search(r"[\s?#]", value):
            self.fail(f"{value!r} is no address of a server, as http://localhost:8080 is one", param, ctx)
        return str(value)


class _Token(click.ParamType[str]):
    """What a header can carry. It is never shown."""

    name = "token"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The token as it is. Fails for what is none."""
        if not value.isascii() or not value.isprintable() or " " in value:
            self.fail("a token is printable ASCII, without spaces", param, ctx)
        return str(value)


class _Owner(click.ParamType[str]):
    """The name of somebody who has sessions, as the file of tokens has it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is. Fails for what nobody is called."""
        from transports.tokens import BrokenTokens, check_name  # where an owner is named alone

        try:
            check_name(value)
        except BrokenTokens as broken:
            self.fail(str(broken), param, ctx)
        return str(value)


_OPTIONS = (
    click.option(
        "--url",
        type=_Address(),
        metavar="URL",
        envvar="MCP_V8_URL",
        help="Ask the server there, as http://localhost:8080.",
    ),
    click.option(
        "--token",
        type=_Token(),
        metavar="TOKEN",
        envvar="MCP_V8_TOKEN",
        help="For a server with --tokens; best as MCP_V8_TOKEN.",
    ),
    click.option(
        "--directory-path",
        type=DirectoryPath(path_type=Path),
        metavar="DIR",
        envvar="MCP_V8_DIRECTORY_PATH",
        help="Ask the store there, without a server.  [default: the server's default store]",
    ),
    click.option(
        "--s3-bucket",
        metavar="BUCKET",
        envvar="MCP_V8_S3_BUCKET",
        help="Ask the store in this bucket of S3, without a server.",
    ),
    click.option(
        "--s3-prefix", metavar="PREFIX", envvar="MCP_V8_S3_PREFIX", help="What its keys there begin with."
    ),
    click.option(
        "--owner",
        type=_Owner(),
        metavar="NAME",
        help="Whose sessions in the store; needed where several have any.",
    ),
)


_PLACES = {"url": "a server", "directory_path": "a store", "s3_bucket": "a store in S3"}
"""The options of which one names whom to ask, and what each is for."""


class Target(Struct, frozen=True):
    """Whom a command asks."""

    url: str | None
    token: str | None
    store: Place
    owner: str | None

    @asynccontextmanager
    async def clients(self, use: Use = "look") -> AsyncIterator[Sequence[Client]]:
        """Clients of everybody whose sessions are meant.

        Raises Failed, EngineError.
        """
        if self.url is not None:
            from cli.target.server import open_server  # not where there is no server to ask

            async with open_server(self.url, self.token) as client:
                yield [client]
            return
        from cli.target.store import open_store

        try:
            async with open_store(self.store, owner=self.owner, use=use) as clients:
                yield clients
        except* StoreLocked as locked:
            raise Failed(f"{locked.exceptions[0]}; or ask that one, by --url") from None

    @asynccontextmanager
    async def client(self, use: Use = "look") -> AsyncIterator[Client]:
        """A client of one owner. Raises Failed where several have sessions in a store, and what ``clients``
        does.
        """
        async with self.clients(use) as clients:
            if len(clients) > 1:
                owners = ", ".join(str(client.owner) for client in clients)
                raise Failed(f"{clients[0].where} has sessions of {owners}: choose by --owner", USAGE)
            yield clients[0]


def with_target(
    command: Callable[Concatenate[Target, P], Awaitable[int | None]],
) -> Callable[P, None]:
    """A command's function from an async one that is given its target, and returns its exit status.

    What it raises on purpose becomes one sentence on stderr, and the exit status.
    """

    @functools.wraps(command)
    def ended(*args: Any, **options: Any) -> int | None:
        return trio.run(functools.partial(command, *args, **options))

    return with_target_blocking(ended)


def with_target_blocking(
    command: Callable[Concatenate[Target, P], int | None],
) -> Callable[P, None]:
    """The same from a function that is not async, as one that needs the main thread for itself."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        token, owner = options.pop("token"), options.pop("owner")
        url, store = _one_of({name: options.pop(name) for name in (*_PLACES, "s3_prefix")})
        if url is not None and owner is not None:
            raise click.UsageError("--owner is for a store, --url for a server: give one of them")
        target = Target(url, token, store, owner)
        raise SystemExit(_status(functools.partial(command, target, *args, **options)))

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def _one_of(given: dict[str, Any]) -> tuple[str | None, Place]:
    """The server's address, or where the store is. The command line goes before variables, of which some are
    a server's, too: among them an address goes before stores.
    """
    source = click.get_current_context().get_parameter_source
    named = [name for name in _PLACES if given[name] is not None]
    typed = [name for name in named if source(name) is not ParameterSource.ENVIRONMENT]
    if len(typed) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in typed[:2])
        raise click.UsageError(
            f"{second} is for {_PLACES[typed[1]]}, {first} for {_PLACES[typed[0]]}: give one of them"
        )
    chosen = (typed or named or ["directory_path"])[0]
    if source("s3_prefix") is ParameterSource.COMMANDLINE and chosen != "s3_bucket":
        raise click.UsageError("--s3-prefix is for a store in S3: give --s3-bucket, too")
    if chosen == "s3_bucket":
        try:
            return None, bucket(given["s3_bucket"], given["s3_prefix"] or "")
        except Refused as refused:
            raise click.UsageError(str(refused)) from refused
    directory = given["directory_path"] or environment.state_directory()
    return given["url"] if chosen == "url" else None, Directory(directory.absolute())


def bucket(name: str, prefix: str) -> Bucket:
    """The store there; how it is reached, and encrypted, the server's variables say.

    Raises Refused for what cannot be meant, click.BadParameter.
    """
    settings = Settings(
        bucket=name,
        prefix=prefix,
        path_style=_variable("s3_path_style"),
        encryption=_variable("s3_encryption"),
        kms_key=_variable("s3_kms_key"),
    )
    return Bucket(settings)


def _variable(name: str) -> Any:
    """What the variable of a server's setting says; None if it is not set."""
    setting, context = SETTINGS[name], click.get_current_context()
    text = setting.value_from_envvar(context)
    try:
        return None if text is None else setting.type_cast_value(context, text)
    except click.BadParameter as wrong:
        wrong.param_hint = f"the variable {variable(name)}"
        raise


def _status(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except BaseException as raised:
        found = only(raised)
        if isinstance(found, KeyboardInterrupt):
            return INTERRUPTED
        if isinstance(found, BrokenPipeError):  # as of `mcp-v8 log a | head`: whoever read has had enough
            terminal.give_up_stdout()
            return 0
        failed = failed_with(found) if isinstance(found, EngineError | OSError) else found
        if not isinstance(failed, Failed):
            raise
        asks_verify = click.get_current_context().info_name == "verify"
        more = ": mcp-v8 verify says what is damaged" if failed.is_of_store and not asks_verify else ""
        click.echo(f"mcp-v8: {visible(failed.sentence)}{more}", err=True)
        return failed.status
