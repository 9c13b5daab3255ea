"""Answers as JSON, for programs: one object, or a line for each."""

from __future__ import annotations

import click
import msgspec

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the HTTP API has it.")
"""The option of every command."""


def print_json(value: object) -> None:
    """One JSON object."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_line(value: object) -> None:
    """One line of several."""
    click.echo(msgspec.json.encode(value))
