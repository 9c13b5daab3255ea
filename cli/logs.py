"""Logging to stderr, which never makes the event loop wait.

Whoever logs puts a record into a bounded queue. A thread formats and writes; where stderr is too slow
for it, records are dropped, and a line says how many. Records of the libraries below (Hypercorn, Quart, the
MCP SDK) go through the same formatter as ours.
"""

from __future__ import annotations

import copy
import logging
import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from queue import SimpleQueue

from cli import logformat

QUEUE_RECORDS = 4_096
FLUSH_SECONDS = 2.0
"""How long the end of the server waits for a slow reader of stderr."""
MAX_MESSAGE_CHARS = 2_000
MAX_TRACEBACK_CHARS = 20_000

GATHER_SECONDS = 0.02
LINES_AT_ONCE = 100
_STDERR = 2
_OURS = ("mcp_v8", "engine", "persistence", "transports", "cli")
_QUIET = ("mcp", "sse_starlette", "hypercorn.error", "botocore", "httpx2")
"""Libraries whose ``info`` is about every request, or every client that is made."""
_log = logging.getLogger(__name__)
_traceback = logging.Formatter().formatException


@contextmanager
def logging_to_stderr(level: str, form: logformat.Format) -> Iterator[None]:
    """Log everything from ``level`` on to stderr until the end, when the queue is written out.

    ``debug`` is about this program; of libraries, whose debugging shows headers and bodies, it wants
    ``info``.
    """
    # Nobody asks a record for these, which are found out for each one.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    colours = form == "text" and os.isatty(_STDERR) and not os.environ.get("NO_COLOR")
    with queued(LineWriter(_STDERR, logformat.formatter(form, colours=colours))) as handler:
        debug = level == "debug"
        logging.basicConfig(level=logging.INFO if debug else level.upper(), handlers=[handler], force=True)
        for name in _OURS if debug else _QUIET:
            logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.WARNING)
        try:
            yield
        finally:
            logging.basicConfig(handlers=[logging.NullHandler()], force=True)


@contextmanager
def queued(writer: LineWriter) -> Iterator[DroppingHandler]:
    """A handler in front of ``writer``, which works in a thread of its own until the end."""
    handler = DroppingHandler()
    thread = _WriterThread(handler.queue, writer)
    thread.start()
    try:
        yield handler
    finally:
        handler.tell_dropped()
        thread.finish()


class DroppingHandler(QueueHandler):
    """Puts records into a queue; drops them from when it is full until it is half empty."""

    queue: SimpleQueue[logging.LogRecord | None]

    def __init__(self) -> None:
        super().__init__(SimpleQueue())
        self._dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record with all that could change later made text, of bounded length."""
        if not record.args and not record.exc_info and len(record.getMessage()) <= MAX_MESSAGE_CHARS:
            return record  # such as the line of an execution: nothing to do, and nothing spent
        record = copy.copy(record)
        record.msg, record.args = record.getMessage()[:MAX_MESSAGE_CHARS], None
        if record.exc_info:
            setattr(record, logformat.TRACEBACK, _traceback(record.exc_info)[-MAX_TRACEBACK_CHARS:])
            record.exc_info = None
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a record, or count it. Called under the handler's lock."""
        room = QUEUE_RECORDS // 2 if self._dropped else QUEUE_RECORDS
        if self.queue.qsize() >= room:
            self._dropped += 1
            return
        self.tell_dropped()
        self.queue.put_nowait(record)

    def tell_dropped(self) -> None:
        """Queue a line about what was dropped, if anything was."""
        if self._dropped:
            message = f"{self._dropped} log lines were dropped: stderr is read too slowly"
            self._dropped = 0
            self.queue.put_nowait(_log.makeRecord(_log.name, logging.WARNING, __file__, 0, message, (), None))


class LineWriter:
    """Formats records and writes them to a descriptor, several at once: each call to the system costs
    the thread a wait for the event loop.

    No handler of the standard library, at whose lock the end of the process would wait for a reader
    that reads nothing; and past Python's buffers for the same reason.
    """

    def __init__(self, descriptor: int, formatter: logging.Formatter) -> None:
        self._descriptor = descriptor
        self._formatter = formatter
        self._lines: list[str] = []

    def add(self, record: logging.LogRecord) -> None:
        """Take a record, to be written together with others."""
        try:
            self._lines.append(self._formatter.format(record))
        except Exception as error:  # noqa: BLE001 (no record may end the thread)
            self._lines.append(f"a line of {record.name!r} could not be formatted: {error!r}")
        if len(self._lines) >= LINES_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write, waiting for a slow reader; nothing happens if there is none any more."""
        left = "".join(f"{line}\n" for line in self._lines).encode(errors="backslashreplace")
        self._lines.clear()
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # whoever shares it with us made it so
                select.select([], [self._descriptor], [])
            except OSError:
                return


class _WriterThread(threading.Thread):
    """Takes records out of a queue. It cannot keep the process from ending."""

    def __init__(self, records: SimpleQueue[logging.LogRecord | None], writer: LineWriter) -> None:
        super().__init__(name="log writer", daemon=True)
        self._records = records
        self._writer = writer

    def run(self) -> None:
        """Write until ``finish``."""
        while (record := self._next()) is not None:
            self._writer.add(record)
        self._writer.flush()

    def finish(self) -> None:
        """Write out what is queued, for a bounded time."""
        self._records.put(None)
        self.join(FLUSH_SECONDS)

    def _next(self) -> logging.LogRecord | None:
        """The next record, or None at the end. Waking up for each would cost more than writing it."""
        if self._records.empty():
            self._writer.flush()
            time.sleep(GATHER_SECONDS)
        return self._records.get()
