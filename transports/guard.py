"""Protection against DNS rebinding: a browser page may not reach this server under a name of its own.

``Host`` must be a name that the server is known by; ``Origin``, where a browser sends one, must be of
such a name too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from transports import errors
from transports.asgi import JsonAnswer

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANY = "*"


class HostGuard:
    """Decides by ``Host`` and ``Origin``.

    ``allowed`` are names without a port, or ``*`` for any ``Host``; loopback names are always allowed.
    A ``*`` does not extend to ``Origin``: name the hosts whose pages may call the server.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        names = {_fold(name) for name in allowed}
        self._any_host = ANY in names
        self._names = frozenset(names - {ANY}) | set(LOOPBACK)

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> JsonAnswer | None:
        """The answer for a request that must not go on, or None."""
        host = origin = None
        for name, value in headers:
            if name == b"host":
                host = value.decode("latin1")
            elif name == b"origin":
                origin = value.decode("latin1")
        if not self._any_host and (host is None or hostname(host) not in self._names):
            return errors.answer(
                421,
                f"the Host {(host or '')[:100]!r} is not one of this server's names; "
                "start it with --allowed-hosts to add one",
                "host_not_allowed",
                "Host",
            )
        if origin is not None and not self._origin_allowed(origin):
            return errors.answer(
                403,
                f"pages of {origin[:100]!r} may not use this server; "
                "start it with --allowed-hosts to add their host",
                "origin_not_allowed",
                "Origin",
            )
        return None

    def _origin_allowed(self, origin: str) -> bool:
        scheme, separator, host = origin.partition("://")
        return bool(separator) and scheme in ("http", "https") and hostname(host) in self._names


def hostname(host: str) -> str:
    """The host in ``host[:port]``, without brackets, in lower case."""
    if host.startswith("["):
        return _fold(host[1:].partition("]")[0])
    return _fold(host.rpartition(":")[0] if host.count(":") == 1 else host)


def _fold(name: str) -> str:
    return name.strip().strip("[]").lower().removesuffix(".")
