"""What goes wrong with etcd, as errors that say what to do: the one place where that is decided. Pure.

The messages name the endpoint, and never who logs in nor with what.
Texts: https://github.com/etcd-io/etcd/blob/v3.5.16/api/v3rpc/rpctypes/error.go
"""

from __future__ import annotations

import msgspec

from persistence.etcd.requests import ErrorAnswer, decoded


class EtcdError(Exception):
    """Base of what goes wrong with etcd; the message is a sentence that says what to do."""


class Refused(EtcdError):
    """etcd said no, and will again: what was to be written was not."""


class LeaseGone(Refused):
    """The lease is over: what was bound to it is deleted."""


class Unanswered(EtcdError):
    """No answer, or one that says that etcd fails: what was to be written may have been.

    It may be tried again.
    """


class NotTaken(Unanswered):
    """As Unanswered, but what was to be written was certainly not."""


class NoSpace(Unanswered):
    """etcd has reached its quota: it writes nothing and grants no leases, but reads and deletes.

    The request that reaches the quota gets this answer too, and is carried out: see ``apply.go`` there.
    """


class Stale(NotTaken):
    """The token of a login is no longer valid: log in again, and what was asked may succeed."""


class Compacted(EtcdError):
    """What was asked for is of a revision that etcd has forgotten: read it all again."""

    def __init__(self, message: str, revision: int = 0) -> None:
        super().__init__(message)
        self.revision = revision
        """The oldest that it knows; 0: it did not say."""


UNAVAILABLE = 14
"""gRPC's code."""
_UNAUTHENTICATED = 16
_FAILED = (1, 2, 4, 10, 13, UNAVAILABLE)
"""gRPC's codes for cancelled, unknown, too late, aborted, internal and unavailable."""
_MAX_SAID = 200
"""Characters of etcd's own message."""


def refusal(endpoint: str, status: int, body: bytes) -> EtcdError:
    """What an answer comes to whose HTTP status is not 200."""
    try:
        error = decoded(body, ErrorAnswer)
    except msgspec.DecodeError:
        return strange(endpoint)
    if status == 404 and error.message == "Not Found":
        return Refused(f"{_at(endpoint)} has no JSON API of version 3: it must be etcd 3.4 or newer")
    return said(endpoint, error.code or error.grpc_code, error.message)


def said(endpoint: str, code: int, message: str) -> EtcdError:
    """What an error of etcd comes to, by gRPC's code and its text."""
    short = message.removeprefix("etcdserver: ")[:_MAX_SAID]
    if "has been compacted" in message:
        return Compacted(f"{_at(endpoint)} has forgotten the revision that was asked for: read it all again")
    if "database space exceeded" in message or "no space" in message:
        return NoSpace(
            f"{_at(endpoint)} has reached its quota: what is archived must be deleted there, then etcd"
            " compacted and defragmented, or its --quota-backend-bytes raised"
        )
    if "lease not found" in message:
        return LeaseGone(f"the lease is over at {_at(endpoint)}: take a new one")
    if code == _UNAUTHENTICATED or "invalid auth token" in message or "auth store is old" in message:
        return Stale(f"the login at {_at(endpoint)} is no longer valid: log in again")
    if "permission denied" in message:
        return Refused(f"the user of {_at(endpoint)} may not do that: grant it a role with read and write")
    if "user name is empty" in message:
        return Refused(f"{_at(endpoint)} wants a user: put user:password@ before the host in its URL")
    if "authentication failed" in message:
        return Refused(f"{_at(endpoint)} does not take the user and the password of its URL: correct them")
    if "authentication is not enabled" in message:
        return Refused(f"{_at(endpoint)} has no users: leave user:password@ out of its URL, or enable them")
    if "too many requests" in message or "no leader" in message:
        return NotTaken(f"{_at(endpoint)} took nothing ({short}): do its members see each other?")
    if code in _FAILED:
        return Unanswered(f"{_at(endpoint)} failed ({short}): do its members see each other?")
    return Refused(f"{_at(endpoint)} said no: {short}")


def strange(endpoint: str) -> EtcdError:
    """What an answer comes to that is not etcd's, or of which only the beginning came."""
    return Unanswered(
        f"the answer of {_at(endpoint)} was no whole one of etcd: is it etcd that is there, and nothing"
        " between that answers in its place?"
    )


def too_long(endpoint: str, limit: int) -> EtcdError:
    """What an answer comes to that has no end."""
    return Unanswered(f"the answer of {_at(endpoint)} was longer than {limit} bytes: ask for less at a time")


def unreached(endpoint: str, *, sent: bool, seconds: float) -> EtcdError:
    """What comes of no answer; not ``sent``: not even a connection."""
    if sent:
        return Unanswered(
            f"{_at(endpoint)} did not answer within {seconds:g} s, or hung up: does it run, and do its"
            " members see each other?"
        )
    return NotTaken(f"{_at(endpoint)} cannot be reached: does it run, and is the address right?")


def _at(endpoint: str) -> str:
    return f"etcd at {endpoint}"
