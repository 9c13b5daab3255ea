"""Answers as JSON, for programs: one object, or a line for each.

What could steer a terminal is escaped, also where JSON would not ask for it: the value is the same.
"""

from __future__ import annotations

import re

import click
import msgspec

from cli.output.text import UNSAFE

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the HTTP API has it.")
"""The option of every command."""


def print_json(value: object) -> None:
    """One JSON object."""
    click.echo(_escaped(msgspec.json.format(msgspec.json.encode(value), indent=2)))


def print_line(value: object) -> None:
    """One line of several."""
    click.echo(line_of(value))


def line_of(value: object) -> str:
    """What ``print_line`` prints."""
    return _escaped(msgspec.json.encode(value))


def _escaped(data: bytes) -> str:
    text = data.decode()
    return text if text.isascii() and text.isprintable() else UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
