"""``mcp-v8 token``: a token for the file of ``--tokens``."""

from __future__ import annotations

import click

from transports import tokens


@click.command("token")
@click.argument("owner")
@click.argument("name", required=False, default="")
def token(owner: str, name: str) -> None:
    """Make a token for an OWNER, used by NAME.

    Its line for the file of --tokens goes to stdout, with the token's hash; the token itself, which is kept
    nowhere, to stderr.
    """
    made = tokens.new_token()
    try:
        line = tokens.line(made, owner, name)
    except tokens.BrokenTokens as broken:
        raise click.UsageError(str(broken)) from broken
    click.echo(f"Token of {owner}, shown only now: {made}", err=True)
    click.echo(line)
