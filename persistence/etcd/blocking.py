"""etcd, for a thread that waits: the one that writes the log."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TypeVar

import httpx2

from persistence.etcd.connections import ANSWER_SECONDS, MAX_ANSWER_BYTES, UNSENT, settings, transport
from persistence.etcd.endpoints import Call, Came, Endpoints, Lost, Sending
from persistence.etcd.names import Names
from persistence.etcd.requests import (
    Answer,
    Compare,
    Found,
    Operation,
    RangeAnswer,
    TransactionAnswer,
    range_body,
    transaction_body,
)

T = TypeVar("T")


class BlockingEtcd:
    """etcd, for one thread."""

    def __init__(
        self, urls: Sequence[str], *, answer_seconds: float = ANSWER_SECONDS, names: Names | None = None
    ) -> None:
        """URLs as ``endpoints.parse`` takes them. To be closed. Raises ValueError."""
        self._endpoints = Endpoints(urls)
        self._seconds = answer_seconds
        chosen = self._endpoints.urls, answer_seconds
        self._http = httpx2.Client(**settings(*chosen), transport=transport(*chosen, names or Names()))

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def transact(
        self,
        compare: Sequence[Compare],
        success: Sequence[Operation],
        failure: Sequence[Operation] = (),
        *,
        again: bool = False,
    ) -> Answer:
        """See ``Etcd.transact``."""
        body = transaction_body(compare, success, failure)
        return self._call("/v3/kv/txn", body, TransactionAnswer, again=again).answer()

    def get(self, key: bytes, end: bytes | None = None, *, limit: int = 0, keys_only: bool = False) -> Found:
        """See ``Etcd.get``."""
        body = range_body(key, end, limit=limit, keys_only=keys_only)
        return self._call("/v3/kv/range", body, RangeAnswer, again=True).found()

    def _call(self, path: str, body: dict[str, object], kind: type[T], *, again: bool) -> T:
        exchange = self._endpoints.exchange(Call(path, body, kind, again=again, seconds=self._seconds))
        came: Came | Lost | None = None
        while True:
            try:
                sending = next(exchange) if came is None else exchange.send(came)
            except StopIteration as end:
                result: T = end.value
                return result
            came = self._send(sending)

    def _send(self, sending: Sending) -> Came | Lost:
        end = monotonic() + sending.seconds
        body = bytearray()
        request = self._http.stream("POST", sending.url, content=sending.content, headers=sending.headers)
        try:
            with request as response:
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        return Lost(sent=True, too_long=MAX_ANSWER_BYTES)
                    if monotonic() > end:  # each piece has come in time, but all of them have not
                        return Lost(sent=True)
                return Came(response.status_code, bytes(body))
        except UNSENT:
            return Lost(sent=False)
        except httpx2.TransportError:
            return Lost(sent=True)
