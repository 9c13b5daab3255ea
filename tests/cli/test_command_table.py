"""The table of commands, from which the help is written without any of them."""

from __future__ import annotations

import importlib
from pathlib import Path

import click
from click.testing import CliRunner

from cli import commands
from cli.main import COMMANDS, main

NAMES = {name: module for group in COMMANDS.values() for name, (module, _) in group.items()}


def test_every_command_of_the_table_is_there_and_every_one_that_is_there_is_in_the_table() -> None:
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in NAMES}
    assert all(isinstance(command, click.Command) for command in found.values())
    made = set()
    for path in Path(commands.__file__).parent.glob("*.py"):
        module = importlib.import_module(f"cli.commands.{path.stem}")
        own = [
            one
            for one in vars(module).values()
            if isinstance(one, click.Command) and one.callback.__module__ == module.__name__
        ]
        parts = [part for one in own if isinstance(one, click.Group) for part in one.commands.values()]
        made |= {one.name for one in own if one not in parts}
    assert made == set(NAMES)
    assert {command.name for command in found.values()} == set(NAMES)


def test_each_fits_its_line_of_the_help() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output.splitlines()
    for group in COMMANDS.values():
        for name, (_, text) in group.items():
            assert any(line.split(maxsplit=1) == [name, text] for line in shown), name
