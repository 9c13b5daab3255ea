"""The routes of what can be done with sessions and executions: those of the server, and of the command on a
store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transports.rest import cluster, executions, history, parse, sessions, storage, submit, transfer
from transports.rest.routes import Route
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


def operations(engine: Supervisor, settings: HttpSettings) -> list[Route]:
    """Those that have a door of their own included."""
    return [
        *submit.routes(),
        *parse.routes(engine),
        *executions.routes(engine, settings.answer_console_bytes),
        *sessions.routes(engine),
        *history.routes(engine, settings.answer_console_bytes),
        *storage.routes(engine),
        *transfer.routes(engine),
        *cluster.routes(engine),
    ]
