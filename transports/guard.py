"""Protection against DNS rebinding: a browser page may not reach this server under a name of its own.

``Host`` must be a name that the server is known by; ``Origin``, where a browser sends one, must be of
such a name too, or one of the origins that the operator named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from transports import errors
from transports.asgi import JsonAnswer

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANY = "*"

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/?#@\s]+))(?::[0-9]*)?")


class HostGuard:
    """Decides by ``Host`` and ``Origin``.

    ``hosts`` are names without a port, or ``*`` for any ``Host``; loopback names are always allowed, and
    so are pages of all these hosts. ``origins`` are those of other pages, each as browsers write it, or
    ``*`` for any. A ``*`` among the hosts does not extend to ``Origin``.
    """

    def __init__(self, hosts: Sequence[str] = (), origins: Sequence[str] = ()) -> None:
        names = {_fold(name) for name in hosts}
        self._any_host = ANY in names
        self._names = frozenset(names - {ANY}) | set(LOOPBACK)
        self._any_origin = ANY in origins
        self._origins = frozenset(origins)

    def refusal(self, headers: Sequence[tuple[bytes, bytes]]) -> JsonAnswer | None:
        """The answer for a request that must not go on, or None."""
        hosts = [value.decode("latin1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin1") for name, value in headers if name == b"origin"]
        if not self._any_host and not (hosts and all(hostname(host) in self._names for host in hosts)):
            return errors.answer(
                421,
                f"the Host {', '.join(hosts)[:100]!r} is not one of this server's names; "
                "start it with --allowed-hosts to add one",
                "host_not_allowed",
                "Host",
            )
        if origins and not all(map(self._origin_allowed, origins)):
            return errors.answer(
                403,
                f"pages of {', '.join(origins)[:100]!r} may not use this server; "
                "start it with --allowed-origins to let them",
                "origin_not_allowed",
                "Origin",
            )
        return None

    def _origin_allowed(self, origin: str) -> bool:
        if self._any_origin or origin in self._origins:
            return True
        scheme, separator, host = origin.partition("://")
        return bool(separator) and scheme in ("http", "https") and hostname(host) in self._names


@lru_cache(maxsize=64)
def hostname(host: str) -> str | None:
    """The host in ``host[:port]``, without brackets, in lower case; None if it is of no such form."""
    match = _HOST.fullmatch(host.strip())
    return None if match is None else _fold(match[1] or match[2])


def _fold(name: str) -> str:
    return name.strip().strip("[]").lower().removesuffix(".")
