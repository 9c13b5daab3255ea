"""Addresses of hosts, within a bound: a name server that is lost holds up nobody for long.

The system's resolver cannot be told to stop. So a name is asked for in a thread that is left to itself, one
for each name at a time; who waits gives up after a moment, and takes the addresses that were found last.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import httpcore2
import trio

NAME_SECONDS = 0.5
"""For a name: a new connection to etcd may take a second with it."""

Addresses = list[Any]
"""As ``getaddrinfo`` gives them."""
Resolve = Callable[..., Addresses]
Question = tuple[Any, ...]
"""The arguments of ``getaddrinfo``."""


class Names(trio.abc.HostnameResolver):
    """Asked by Trio's connections where it is set as their resolver, and by threads."""

    def __init__(self, resolve: Resolve = socket.getaddrinfo, seconds: float = NAME_SECONDS) -> None:
        self._resolve = resolve
        self._seconds = seconds
        self._changing = threading.Lock()
        self._asked: dict[Question, Future[Addresses]] = {}
        """What threads are at."""
        self._found: dict[Question, Addresses] = {}
        """What was found last."""

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Addresses:
        """See ``socket.getaddrinfo``. Raises OSError also if it takes long and nothing was found before."""
        question = (host, port, family, type, proto, flags)
        answer, token, is_there = self._ask(question), trio.lowlevel.current_trio_token(), trio.Event()

        def tell(_: Future[Addresses]) -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(is_there.set)

        answer.add_done_callback(tell)
        with trio.move_on_after(self._seconds):
            await is_there.wait()
        return self._taken(question, answer)

    async def getnameinfo(self, sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
        """See ``socket.getnameinfo``: of addresses alone, for which nobody is asked."""
        return socket.getnameinfo(sockaddr, flags | socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)

    def addresses(self, host: str, port: int) -> list[str]:
        """The same for a thread that waits: those to connect to, in their order."""
        question = (host, port, 0, socket.SOCK_STREAM, 0, 0)
        answer = self._ask(question)
        with suppress(TimeoutError, OSError):
            answer.result(self._seconds)
        return list(dict.fromkeys(str(found[4][0]) for found in self._taken(question, answer)))

    def _ask(self, question: Question) -> Future[Addresses]:
        """The answer that a thread finds, which may be at it already."""
        with self._changing:
            if (asked := self._asked.get(question)) is not None:
                return asked
            answer = self._asked[question] = Future()
        # a daemon: the process need not wait for it in the end
        thread = threading.Thread(target=self._find, args=(question, answer), daemon=True, name="names")
        try:
            thread.start()
        except RuntimeError as none:
            self._tell(question, answer, OSError(str(none)))
        return answer

    def _find(self, question: Question, answer: Future[Addresses]) -> None:
        try:
            found: Addresses | OSError = self._resolve(*question)
        except (OSError, UnicodeError) as failed:
            found = failed if isinstance(failed, OSError) else OSError(str(failed))
        self._tell(question, answer, found)

    def _tell(self, question: Question, answer: Future[Addresses], found: Addresses | OSError) -> None:
        with self._changing:
            del self._asked[question]
            if not isinstance(found, OSError):
                self._found[question] = found
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def _taken(self, question: Question, answer: Future[Addresses]) -> Addresses:
        """The answer, if it is there; else what was found before."""
        failed: BaseException | None = None
        if answer.done() and (failed := answer.exception()) is None:
            return answer.result()
        is_certain = isinstance(failed, socket.gaierror) and failed.errno != socket.EAI_AGAIN
        with self._changing:
            found = self._found.get(question)
        if found is not None and not is_certain:
            return found
        raise failed or socket.gaierror(socket.EAI_AGAIN, f"no address was found within {self._seconds:g} s")


class Connecting(httpcore2.SyncBackend):
    """Connects threads to hosts by their names."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self._names = names

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore2.NetworkStream:
        """See ``httpcore2.NetworkBackend``: to the first of its addresses that takes the connection."""
        try:
            addresses = self._names.addresses(host, port)
        except OSError as failed:
            raise httpcore2.ConnectError(str(failed)) from failed
        for address in addresses[:-1]:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return super().connect_tcp(address, port, *args, **options)
        return super().connect_tcp(addresses[-1], port, *args, **options)
