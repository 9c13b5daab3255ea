"""``mcp-v8 healthcheck``: whether the server beside it takes requests."""

from __future__ import annotations

import os
import socket
from typing import NoReturn
from urllib.parse import urlsplit

import click

from cli.listeners import Address, listeners
from cli.options import Seconds
from cli.readiness import PATH, ask, complaint

MOST_PORTS = 256
"""Asked at once."""


@click.command
@click.option("--url", metavar="URL", help="The server to ask, as http://HOST:PORT.")
@click.option(
    "--timeout",
    type=Seconds(0.001, 3_600),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Time in which it must have answered.",
)
def healthcheck(url: str | None, timeout: float) -> None:
    """Whether the server here takes requests: status 0 if it does, 1 with the reason if not.

    Asks every port on which your own processes listen (root: those of all users) in this network namespace.
    What does not answer as an mcp-v8 does is passed over; where there are several servers, all must be ready.

    \b
    mcp-v8 healthcheck                                     in the container of a server
    mcp-v8 healthcheck --timeout 10                        of one that may be slow
    mcp-v8 healthcheck --url http://localhost:8080         this server and no other
    """
    if url is None:
        addresses, name, path = listeners(os.geteuid()), "localhost", PATH
        if not addresses:
            _fail(f"no server of user {os.geteuid()} listens here (on stdio there is no port to ask)")
        if len(addresses) > MOST_PORTS:
            _fail(f"{len(addresses)} ports are listened on here: say with --url which is the server's")
    else:
        addresses, name, path = _named(url)
    said = ask(addresses, timeout, host=name, path=path)
    if why := complaint(said):
        _fail(why)
    for one in said:
        if one.known:
            click.echo(f"{one.address} is ready")


def _named(url: str) -> tuple[list[Address], str, str]:
    """Where a server with that URL is, under which name, and the path to ask for."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        parts, port = urlsplit(""), 0
    if (
        parts.scheme != "http"
        or not parts.hostname
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise click.BadParameter(f"must be http://HOST:PORT, not {url!r}", param_hint="--url")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        _fail(f"{url}: {error.strerror}")
    addresses = dict.fromkeys(Address(str(where[0]), port) for *_, where in found)
    return list(addresses), parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + PATH


def _fail(why: str) -> NoReturn:
    click.echo(f"mcp-v8: {why}", err=True)
    raise SystemExit(1)
