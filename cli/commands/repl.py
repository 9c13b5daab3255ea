"""``mcp-v8 repl``: a prompt in a session."""

from __future__ import annotations

import sys

import click

from cli import environment
from cli.entry import INTERRUPTED
from cli.output.json import as_json
from cli.output.terminal import is_terminal
from cli.repl import place as places
from cli.repl.background import Background
from cli.repl.place import Place
from cli.repl.prompt import Prompt
from cli.repl.script import Script
from cli.repl.signals import Signals, Terminated
from cli.repl.statements import Left, Statements
from cli.target.failures import Failed
from cli.target.options import Target, with_target_blocking
from cli.target.point import Point, SessionPoint

LEAVE_SECONDS = 2.0
"""What putting things in order may take for whoever leaves at once."""


@click.command
@click.argument("point", type=SessionPoint(), metavar="SESSION[@N]")
@click.option("--keep-going", is_flag=True, help="From a pipe: go on behind a statement that fails.")
@as_json
@with_target_blocking
def repl(target: Target, point: Point, *, keep_going: bool, as_json: bool) -> int:
    """Type JavaScript into a session; into a copy that is thrown away with @N.

    Each statement in SESSION is an execution like any other, and recorded. SESSION@N begins in the state
    after event N, and leaves the session as it is, also while a server has the store open. Names are
    completed with Tab; .help says more. From a pipe statements are run one by one, until one fails.

    \b
    mcp-v8 repl demo
    mcp-v8 repl demo@6
    mcp-v8 repl demo < statements.js
    """
    background: Background[Place] = Background(lambda: places.opened(target, point))
    signals = Signals()
    with signals.handled():
        try:
            with signals.interruptible():
                place = background.open()
            statements = Statements(background, place, signals, as_json=as_json)
            if sys.stdin.isatty() and is_terminal():
                _greet(place, point)
                _prompt(statements, signals, background).serve()
                status = 0
            else:
                status = Script(statements, sys.stdin, signals, keeps_going=keep_going).run()
        except Terminated as terminated:
            status = terminated.status
        except KeyboardInterrupt:
            status = INTERRUPTED
        except Left:
            background.close(LEAVE_SECONDS)
            return INTERRUPTED
        except Failed:
            background.close()
            raise
        with signals.interruptible():
            background.close()
    return status


def _greet(place: Place, point: Point) -> None:
    """What whoever types here should know."""
    if place.origin is not None:
        told = f"a copy of {point}, which is thrown away at the end"
        click.echo(
            f"In {told}{'' if place.client.owner else f': {place.session}'}. .help says more.", err=True
        )
    elif place.event is None:
        click.echo(f"There is no session {place.session} yet: it begins with the first statement.", err=True)


def _prompt(statements: Statements, signals: Signals, background: Background[Place]) -> Prompt:
    from cli.repl.keyboard import Keyboard  # readline takes hold of the terminal

    keyboard = Keyboard(statements.complete)
    keyboard.keep_history(environment.state_directory())
    return Prompt(statements, keyboard, signals, background)
