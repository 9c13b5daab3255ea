"""Asking before something is done that cannot be undone."""

from __future__ import annotations

import sys

import click

from cli.interrupts import heard
from cli.target.failures import USAGE, Failed

yes = click.option("--yes", is_flag=True, help="Do not ask.")
"""The option of commands that ask."""


def must_agree(question: str, *, yes: bool) -> None:
    """Go on if the answer is yes. Raises Failed if it is not, or nobody is there to give one."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failed(f"{question}? There is nobody to ask: --yes says so", USAGE)
    try:
        with heard():  # Ctrl-C that comes just when the key is begun to be waited for, too
            agreed = click.confirm(f"{question}?", err=True, prompt_suffix=" ")
    except click.Abort:  # Ctrl-C or Ctrl-D at the question
        raise KeyboardInterrupt from None
    if not agreed:
        raise Failed("nothing was done")
