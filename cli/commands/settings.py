"""The settings of a command line that names them: chosen, and checked."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli import config
from cli.choices import Choices, ConfigError, choose


def chosen(ctx: click.Context) -> tuple[Choices, Sequence[str]]:
    """The choices, and warnings. Raises UsageError."""
    try:
        return choose(ctx)
    except ConfigError as error:
        raise click.UsageError(str(error), ctx) from error


def checked(ctx: click.Context, choices: Choices) -> config.Settings:
    """The settings that follow. Raises UsageError."""
    try:
        return config.settings(choices)
    except ConfigError as error:
        raise click.UsageError(str(error), ctx) from error
