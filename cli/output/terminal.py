"""Where output goes: how wide that is, and whether it takes colours.

A terminal has colours unless ``NO_COLOR`` is set or it is ``dumb``; anything else has none unless
``FORCE_COLOR`` is set. Lines are cut to a terminal's width, or to ``COLUMNS``; elsewhere they are whole.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys

import click


def prepare(context: click.Context) -> None:
    """Let all output of a command obey the environment; what its encoding lacks is written as ``\\u2026``.

    Where whoever started the command has closed a stream, nothing is read, and what is written goes nowhere.
    """
    context.color = _asked_for()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _asked_for() -> bool | None:
    """What the environment says of colours; None if they depend on where output goes."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") != "0":
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def coloured(*, err: bool = False) -> bool:
    """Whether stdout, or stderr, is shown in colours."""
    context = click.get_current_context(silent=True)
    asked = _asked_for() if context is None else context.color
    return is_terminal(err=err) if asked is None else asked


def is_terminal(*, err: bool = False) -> bool:
    """Whether stdout, or stderr, is a terminal."""
    stream = sys.stderr if err else sys.stdout
    return stream is not None and stream.isatty()


def width(*, err: bool = False) -> int | None:
    """Cells in a line of stdout, or of stderr; None where lines are whole."""
    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) > 0:
        return int(os.environ["COLUMNS"])
    if not is_terminal(err=err):
        return None
    with contextlib.suppress(OSError, ValueError):
        return os.get_terminal_size((sys.stderr if err else sys.stdout).fileno()).columns or None
    return shutil.get_terminal_size().columns


def give_up_stdout() -> None:
    """Nobody reads it any more: what is still to be written there goes nowhere, and without a complaint."""
    with open(os.devnull, "wb") as nowhere, contextlib.suppress(OSError, ValueError):  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
