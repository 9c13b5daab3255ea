"""What is logged where connections cannot be accepted."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

INTERVAL_SECONDS = 10.0
"""How often it is told."""


@contextmanager
def telling_seldom() -> Iterator[None]:
    """While no more files may be open, Trio logs a traceback ten times a second: in this block a line now and
    then says it instead.

    The logger is named in https://trio.readthedocs.io/en/stable/reference-io.html#trio.serve_listeners.
    """
    told = -inf

    def seldom(record: logging.LogRecord) -> bool:
        nonlocal told
        now = time.monotonic()
        if now - told < INTERVAL_SECONDS:
            return False
        told = now
        record.msg, record.args = "connections wait, since no more files may be open (ulimit -n)", ()
        record.exc_info = None
        return True

    log = logging.getLogger("trio.serve_listeners")
    log.addFilter(seldom)
    try:
        yield
    finally:
        log.removeFilter(seldom)
