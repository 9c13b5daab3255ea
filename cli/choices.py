"""What was chosen for each setting, and by whom: flag before variable before file before default.

Where two settings speak of the same thing, the one that goes before the other decides. If they come
from the same place and contradict each other, that is an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from cli import environment, rustlog
from cli.options import ALIASES, MAX_PORT, SETTINGS, variable

_RANKS = {ParameterSource.COMMANDLINE: 3, ParameterSource.ENVIRONMENT: 2, ParameterSource.DEFAULT_MAP: 1}
_ENVIRONMENT = 2
_FILE = 1
_STORES = {
    "dir": "keeps sessions in a directory",
    "s3": "keeps sessions in a bucket",
    "none": "keeps nothing",
}
_OF_BUCKETS = ("cache_dir", "s3_kms_key", "s3_encryption", "s3_path_style", "s3_prefix")
DOORS = ("http_port", "sse_port", "stdio")
"""Settings of which one is chosen."""
_MAXIMA = {"execution_timeout": "max_execution_timeout", "heap_memory": "heap_memory_max"}
"""Settings that are lowered to a maximum, unless they were chosen."""


class ConfigError(Exception):
    """Settings that contradict each other; the message is one sentence."""


class Choice(NamedTuple):
    """A setting's value, and where it came from."""

    value: Any
    origin: str = "default"
    """The flag, the variable, or the key of a file."""
    rank: int = 0
    """Higher goes first; 0 where nobody has chosen."""


Choices = dict[str, Choice]


def choose(ctx: click.Context, environ: Mapping[str, str] = os.environ) -> tuple[Choices, list[str]]:
    """The choice for each setting, by its name, and warnings about what was not understood.

    Raises ConfigError for contradictions, and for a variable ``PORT`` that is no port.
    """
    chosen = {name: _given(ctx, name) for name in SETTINGS}
    for alias, name in ALIASES.items():
        chosen[name] = _one_of(chosen[name], chosen.pop(alias))
    for usual, most in _MAXIMA.items():
        _keep_below(chosen, usual, most)
    _choose_store(chosen)
    _choose_door(chosen, environ)
    if not chosen["max_workers"].rank:
        memory = environment.memory_bytes()
        by = f"default, by memory of {memory >> 20} MB"
        chosen["max_workers"] = Choice(environment.default_max_workers(memory), by)
    return chosen, _choose_level(chosen, environ)


def _given(ctx: click.Context, name: str) -> Choice:
    source = ctx.get_parameter_source(name)
    value = ctx.params[name]
    if source is ParameterSource.COMMANDLINE:
        return Choice(value, SETTINGS[name].opts[0], _RANKS[source])
    if source is ParameterSource.ENVIRONMENT:
        return Choice(value, variable(name), _RANKS[source])
    if source is ParameterSource.DEFAULT_MAP:
        return Choice(value, f"{name} in {ctx.params['config']}", _RANKS[source])
    return Choice(value)


def _one_of(one: Choice, other: Choice) -> Choice:
    """The choice that goes first, of two names of one setting."""
    if one.rank == other.rank and one.value != other.value:
        raise ConfigError(
            f"{one.origin} and {other.origin} are two names of one setting: give one, "
            f"not {one.value} and {other.value}"
        )
    return max(one, other, key=lambda choice: choice.rank)


def _keep_below(chosen: Choices, usual: str, most: str) -> None:
    choice, limit = chosen[usual], chosen[most]
    if choice.value <= limit.value:
        return
    if choice.rank:
        maximum = limit.origin if limit.rank else SETTINGS[most].opts[0]
        raise ConfigError(f"{choice.origin} {choice.value:g} is over {maximum} {limit.value:g}")
    chosen[usual] = limit


def _choose_store(chosen: Choices) -> None:
    """Settle whether there is a store, and where: what is not chosen is None then."""
    kind, stateless = chosen.pop("heap_store"), chosen["stateless"]
    directory, bucket = chosen["directory_path"], chosen["s3_bucket"]
    said: list[tuple[Choice, str]] = [
        (directory, "dir"),
        (bucket, "s3"),
        (stateless, "none"),
        (kind, kind.value),
    ]
    said = [(choice, store) for choice, store in said if choice.rank and choice.value]
    first = max((choice.rank for choice, _ in said), default=0)
    by_store = {store: choice for choice, store in reversed(said) if choice.rank == first}
    if len(by_store) > 1:
        one, other = sorted(by_store, key=list(_STORES).index)[-2:]
        raise ConfigError(
            f"{by_store[other].origin} {_STORES[other]}, so {by_store[one].origin} cannot be given with it"
        )
    store, choice = next(iter(by_store.items()), ("dir", stateless))
    if store == "s3" and not bucket.value:
        raise ConfigError(f"{choice.origin} s3 needs a bucket: give --s3-bucket")
    if store != "s3":
        for name in _OF_BUCKETS:
            # what a later place says of the bucket that it meant is passed over together with that
            if chosen[name].rank >= max(first, _FILE) and chosen[name].value not in (None, ""):
                raise ConfigError(f"{chosen[name].origin} is for a store in S3: give --s3-bucket, too")
    _choose_isolation(chosen, store, first)
    path = directory.value or environment.state_directory()
    chosen["stateless"] = choice._replace(value=store == "none")
    chosen["s3_bucket"] = bucket if store == "s3" else choice._replace(value=None)
    chosen["directory_path"] = (
        directory._replace(value=path.absolute()) if store == "dir" else choice._replace(value=None)
    )
    if chosen["cache_dir"].value is not None:
        chosen["cache_dir"] = chosen["cache_dir"]._replace(value=chosen["cache_dir"].value.absolute())


def _choose_isolation(chosen: Choices, store: str, first: int) -> None:
    """How executions without sessions are kept apart, where that is what the server runs."""
    choice = chosen["stateless_isolation"]
    if store == "none":
        return
    if choice.rank >= max(first, _FILE):
        raise ConfigError(f"{choice.origin} is for executions without sessions: give --stateless, too")
    chosen["stateless_isolation"] = Choice(SETTINGS["stateless_isolation"].default)


def _choose_door(chosen: Choices, environ: Mapping[str, str]) -> None:
    """Settle where clients come in. ``PORT``, which hosting platforms set, is asked last."""
    doors = {name: chosen[name] for name in DOORS}
    said = {name: door for name, door in doors.items() if door.rank and is_open(door)}
    first = max((door.rank for door in said.values()), default=0)
    taken = [name for name, door in said.items() if door.rank == first]
    if len(taken) > 1:
        raise ConfigError(
            f"{' and '.join(said[name].origin for name in taken)} exclude each other: give one "
            "(--sse-port serves what --http-port does, and SSE)"
        )
    for name in said.keys() - set(taken):
        chosen[name] = said[name]._replace(value=False if name == "stdio" else None)
    text = environ.get("PORT")
    if taken or not text:
        return
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_PORT):
        raise ConfigError(f"the variable PORT is {text!r}, which is no port: set a number up to {MAX_PORT}")
    chosen["http_port"] = Choice(int(text), "PORT")


def is_open(door: Choice) -> bool:
    """Whether a port, which may be 0, or stdio was chosen."""
    return door.value is not None and door.value is not False


def _choose_level(chosen: Choices, environ: Mapping[str, str]) -> list[str]:
    """``RUST_LOG`` goes before a file. Returns warnings."""
    level, unknown = rustlog.level(environ.get("RUST_LOG", ""))
    if level is not None and chosen["log_level"].rank < _ENVIRONMENT:
        chosen["log_level"] = Choice(level, "RUST_LOG", _ENVIRONMENT)
    return [f"RUST_LOG: {part!r} means nothing to this program" for part in unknown]
