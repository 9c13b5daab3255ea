"""``mcp-v8 config``: every setting, its value and where that came from."""

from __future__ import annotations

from typing import Any

import click

from cli import configtable
from cli.commands.settings import checked, chosen
from cli.options import SettingsCommand


@click.command("config", cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@click.pass_context
def config(ctx: click.Context, /, as_json: bool, **_: Any) -> None:
    """Show each setting, its value and where that came from."""
    choices, warnings = chosen(ctx)
    checked(ctx, choices)
    for warning in warnings:
        click.echo(f"mcp-v8: {warning}", err=True)
    click.echo((configtable.as_json if as_json else configtable.table)(choices), nl=False)
