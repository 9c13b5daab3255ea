"""The configuration file: TOML, or JSON, with the names of the flags as keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

MAX_BYTES = 1 << 20


def read(path: Path, known: Mapping[str, click.Option], ctx: click.Context) -> dict[str, Any]:
    """Which of the ``known`` settings a file has, by their names with underscores.

    Raises UsageError, which names file and key, for keys that are no settings and values that are of
    another type or out of range.
    """
    settings: dict[str, Any] = {}
    for key, value in _decoded(path, ctx).items():
        name = key.replace("-", "_")
        option = known.get(name)
        if option is None:
            close = difflib.get_close_matches(name, known, n=1)
            advice = f"; did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"{path}: there is no setting {key!r}{advice}", ctx)
        if name in settings:
            raise click.UsageError(f"{path}: {key!r} is there twice", ctx)
        settings[name] = _checked(path, key, option, value, ctx)
    return settings


def _decoded(path: Path, ctx: click.Context) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}", ctx) from error
    if len(data) > MAX_BYTES:
        raise click.UsageError(f"{path} has more than {MAX_BYTES} bytes: it is no configuration file", ctx)
    json = path.suffix.lower() == ".json"
    try:
        decoded = (msgspec.json if json else msgspec.toml).decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        kind = "JSON" if json else "TOML"
        raise click.UsageError(f"{path} is not {kind}: {error}", ctx) from error
    if not isinstance(decoded, dict):
        raise click.UsageError(f"{path}: settings are an object of names and values", ctx)
    return decoded


def _checked(path: Path, key: str, option: click.Option, value: Any, ctx: click.Context) -> Any:
    """The value as its flag would give it."""
    kind, article = _kind(option)
    try:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise click.UsageError(f"{path}: {key!r} must be {article}, not {value!r}", ctx)
        return option.type.convert(value, option, ctx)
    except click.BadParameter as error:
        raise click.UsageError(f"{path}: {key!r}: {error.message}", ctx) from error
    except (OverflowError, ValueError) as error:  # more digits than Python converts
        raise click.UsageError(f"{path}: {key!r} is too large a number", ctx) from error


def _kind(option: click.Option) -> tuple[type | tuple[type, ...], str]:
    """The types of a file's value that an option takes, and their name."""
    if option.is_flag:
        return bool, "true or false"
    if isinstance(option.type, click.IntRange):
        return int, "a whole number"
    if isinstance(option.type, click.FloatRange):
        return (int, float), "a number"
    return str, "a text"
