"""Signals at the prompt: Ctrl-C where it is waited for, and an orderly end when the process is to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cli.interrupts import heard

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_AGAIN_SECONDS = 0.05


class Terminated(BaseException):
    """The process was asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number
        """Its exit status, as shells have it."""


class Signals:
    """Ctrl-C is a KeyboardInterrupt in a block of ``interruptible``, and kept for the next one elsewhere.

    So nothing is left half-way by it that must not be.
    """

    def __init__(self) -> None:
        self._is_awaited = False
        self._is_kept = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals in the block, which is in the main thread."""
        numbers = (signal.SIGINT, *_ENDING)
        before = {number: signal.getsignal(number) for number in numbers}
        signal.signal(signal.SIGINT, self._interrupt)
        for number in _ENDING:
            if before[number] != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, self._terminate)
        try:
            with heard():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C raise KeyboardInterrupt in the block."""
        self._is_awaited = True
        try:
            if self._is_kept:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_awaited = self._is_kept = False

    def again(self, raised: KeyboardInterrupt | Terminated) -> None:
        """Let a signal come once more, soon, that was raised where nothing could be made of it."""
        number = signal.SIGINT
        if isinstance(raised, Terminated):
            number = signal.Signals(raised.status - 128)
            signal.signal(number, self._terminate)
        timer = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (threading.get_ident(), number))
        timer.daemon = True
        timer.start()

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_awaited:
            raise KeyboardInterrupt
        self._is_kept = True

    def _terminate(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
        raise Terminated(number)
