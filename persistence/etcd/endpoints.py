"""Which of etcd's members is asked what, in which order, and what is asked again. Pure.

An exchange is a generator: it yields what is to be sent, is sent what came of it, and returns the answer. So
that a client on Trio and one in a thread behave alike.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Generic, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct

from persistence.etcd.failures import (
    EtcdError,
    NoSpace,
    NotTaken,
    Refused,
    Stale,
    Unanswered,
    refusal,
    strange,
    too_long,
    unreached,
)
from persistence.etcd.requests import TokenAnswer, decoded, encoded

PORT = 2379
_HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}

T = TypeVar("T")


class Credentials:
    """A user's. They show themselves to nobody who prints them."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.password = password


class Call(Struct, Generic[T], frozen=True):
    """A request, to whichever member takes it."""

    path: str
    body: dict[str, object]
    kind: type[T]
    """Of the answer."""
    again: bool
    """It may reach etcd twice: it only reads, or its own conditions see to it."""
    seconds: float
    """For the answer of one member."""


class Sending(Struct, frozen=True):
    """One attempt."""

    endpoint: str
    path: str
    content: bytes
    token: str
    """Of the login; empty: none."""
    seconds: float

    @property
    def url(self) -> str:
        """Where it is sent."""
        return self.endpoint + self.path

    @property
    def headers(self) -> dict[str, str]:
        """Beside those that HTTP needs: answers are read as they come."""
        return _HEADERS | ({"authorization": self.token} if self.token else {})


class Came(Struct, frozen=True):
    """An answer, of whatever status."""

    status: int
    body: bytes


class Lost(Struct, frozen=True):
    """No answer. Not ``sent``: there was no connection. ``too_long``: there was too much of it (bytes)."""

    sent: bool
    too_long: int = 0


Exchange = Generator[Sending, Came | Lost, T]


class Endpoints:
    """The members that are known, the one that last answered first."""

    def __init__(self, urls: Sequence[str]) -> None:
        """URLs as ``parse`` takes them. Raises ValueError: a sentence that says what is wrong."""
        if not urls:
            raise ValueError("there must be one URL of etcd at least")
        parsed = [_parsed(url) for url in urls]
        self.urls = tuple(url for url, _ in parsed)
        """Without users and passwords."""
        known = {(one.user, one.password): one for _, one in parsed if one is not None}
        if len(known) > 1:
            raise ValueError("the URLs of etcd name different users: all its members have the same")
        self._credentials = next(iter(known.values()), None)
        self._token = ""
        self._first = 0

    def __len__(self) -> int:
        return len(self.urls)

    def in_turn(self) -> Iterator[str]:
        """Each once, beginning with the one that is preferred now."""
        first = self._first
        return (self.urls[(first + n) % len(self.urls)] for n in range(len(self.urls)))

    def pass_over(self, endpoint: str) -> None:
        """Prefer the next one, if it is this one that is preferred."""
        if self.urls[self._first] == endpoint:
            self._first = (self._first + 1) % len(self.urls)

    def exchange(self, call: Call[T]) -> Exchange[T]:
        """The answer of the first member that gives one. Raises EtcdError."""
        failed: EtcdError | None = None
        for endpoint in self.in_turn():
            try:
                return (yield from self.at(endpoint, call))
            except (Refused, NoSpace) as error:
                if failed is None or isinstance(failed, NotTaken):
                    raise
                # An attempt before may have been done: that it was not this time says nothing of that.
                raise Unanswered(str(error)) from error
            except Unanswered as error:
                self.pass_over(endpoint)
                if not isinstance(error, NotTaken):
                    failed = error
                    if not call.again:
                        break
                failed = failed or error
        assert failed is not None, "there is an endpoint"
        raise failed

    def at(self, endpoint: str, call: Call[T]) -> Exchange[T]:
        """The answer of that member, after a new login if the last one is over. Raises EtcdError."""
        token = yield from self.login(endpoint, call.seconds)
        try:
            return (yield from _asked(endpoint, call, token))
        except Stale:
            self.forget(token)
        token = yield from self.login(endpoint, call.seconds)
        return (yield from _asked(endpoint, call, token))

    def login(self, endpoint: str, seconds: float) -> Exchange[str]:
        """The token that requests carry; empty: there is no user. Raises EtcdError; nothing is sent then."""
        if self._credentials is not None and not self._token:
            body: dict[str, object] = {
                "name": self._credentials.user,
                "password": self._credentials.password,
            }
            call = Call("/v3/auth/authenticate", body, TokenAnswer, again=True, seconds=seconds)
            try:
                self._token = (yield from _asked(endpoint, call, "")).token
            except Unanswered as error:
                raise NotTaken(str(error)) from None
        return self._token

    def forget(self, token: str) -> None:
        """A token that is no longer valid, unless there is another already."""
        if self._token == token:
            self._token = ""


def parse(text: str) -> tuple[str, ...]:
    """URLs separated by commas. Raises ValueError: a sentence that says what is wrong."""
    urls = tuple(url for part in text.split(",") if (url := part.strip()))
    Endpoints(urls)
    return urls


def _parsed(url: str) -> tuple[str, Credentials | None]:
    """The endpoint without the user, and the user. What is wrong is told without either."""
    wrong = ValueError("a URL of etcd must be as http://HOST:2379 or https://USER:PASSWORD@HOST:2379")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        raise wrong from None
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise wrong
    shown = f"[{host}]" if ":" in host else host
    credentials = None
    if parts.username:
        credentials = Credentials(unquote(parts.username), unquote(parts.password or ""))
    return f"{parts.scheme}://{shown}:{port}", credentials


def _asked(endpoint: str, call: Call[T], token: str) -> Exchange[T]:
    """The answer to one attempt. Raises EtcdError."""
    came = yield Sending(endpoint, call.path, encoded(call.body), token, call.seconds)
    if isinstance(came, Lost):
        if came.too_long:
            raise too_long(endpoint, came.too_long)
        raise unreached(endpoint, sent=came.sent, seconds=call.seconds)
    if came.status != 200:
        raise refusal(endpoint, came.status, came.body)
    try:
        return decoded(came.body, call.kind)
    except msgspec.DecodeError:
        raise strange(endpoint) from None
