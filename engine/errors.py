"""Every error the engine raises, in one tree.

    EngineError
    ├── RequestError            the caller's fault: change the request
    │   ├── InvalidField        a value of the request is not acceptable
    │   ├── TooLarge            a value is over a limit
    │   ├── NotFound            no such session, event or execution (or not the caller's)
    │   ├── Conflict            the session is not where the caller thinks, or cannot go on
    │   ├── KeyReused           an idempotency key came back with another request
    │   ├── FileCorrupt         a file that was to be imported is damaged, or no such file
    │   ├── TooManySessions     the owner has as many as one may
    │   └── Busy                a queue is full: try again later
    ├── Unavailable             nobody's fault: the server is starting, stopping or short of workers
    │   └── NodeLost            the node that was asked went away before it answered
    ├── Elsewhere               another node of the cluster is to be asked, and is
    ├── StoreError              the store's fault: tell the operator
    │   ├── StoreLocked         another process owns the store
    │   ├── StoreMissing        there is none where one was to be read
    │   ├── StoreCorrupt        a record does not hash to its name, or a chain has a gap
    │   ├── AppendConflict      the sequence number is taken, or its predecessor is missing
    │   ├── StoreFull           it takes as much space as it may: nothing was run or recorded
    │   ├── StoreFailed         the write definitely did not happen (disk full, I/O error)
    │   │   ├── StoreReadOnly   the store was opened only to be read
    │   │   ├── NodeFenced      this node is no member of its cluster now
    │   │   └── NotOwner        another node of the cluster has the session
    │   └── BlobError           a blob, which is only a shortcut, could not be kept or had
    │       ├── BlobMissing     there is none of that name: it was collected, or lost
    │       ├── BlobCorrupt     what is there does not hash to its name, or is no such blob
    │       └── BlobStoreFailed the store is full, read-only or gone: it may work later
    ├── PlatformRefused         V8 here is not the one this engine was written for
    └── WorkerFailed            a worker process or the zygote broke its protocol or could not start

Each carries a sentence that says what happened and what to do. ``code`` is a stable word for
programs; ``field`` names the part of the request at fault, where there is one.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose."""

    code = "internal"

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class RequestError(EngineError):
    """The caller's fault: nothing was run or recorded; change the request."""

    code = "bad_request"


class InvalidField(RequestError):
    """A value of the request has the wrong type, form or range."""

    code = "invalid_field"


class TooLarge(RequestError):
    """A value of the request is over a documented limit."""

    code = "too_large"


class NotFound(RequestError):
    """No such session, event or execution, or it belongs to somebody else."""

    code = "not_found"


class Conflict(RequestError):
    """The session is not at the state that the caller named, or it is read-only."""

    code = "conflict"


class KeyReused(RequestError):
    """The idempotency key was used before, with a different request."""

    code = "idempotency_key_reused"


class FileCorrupt(RequestError):
    """A file that was to be imported is not what an export wrote: damaged, cut off, or something else."""

    code = "file_corrupt"


class TooManySessions(RequestError):
    """The owner has as many sessions as one may."""

    code = "too_many_sessions"


class Busy(RequestError):
    """A bounded queue is full; the request was not accepted. Try again later."""

    code = "busy"


class Unavailable(EngineError):
    """The server is starting, draining or out of workers; the request was not accepted."""

    code = "unavailable"


class Elsewhere(EngineError):
    """Another node of the cluster has the session, or shall have it: that one is asked, not the client."""

    code = "elsewhere"


class NodeLost(Unavailable):
    """The node of the cluster that was asked went away: whether it did what was asked is not known."""

    code = "node_lost"


class StoreError(EngineError):
    """The event log failed."""

    code = "store_error"


class StoreLocked(StoreError):
    """Another process owns this store."""

    code = "store_locked"


class StoreMissing(StoreError):
    """There is no store where one was to be read."""

    code = "store_missing"


class StoreCorrupt(StoreError):
    """Stored bytes do not hash to their name, or the chain has a gap."""

    code = "store_corrupt"


class AppendConflict(StoreError):
    """The sequence number is taken, its predecessor is missing, or a unique key exists."""

    code = "append_conflict"


class StoreFull(StoreError):
    """The store takes as much space as it may; nothing was run or recorded."""

    code = "store_full"


class StoreFailed(StoreError):
    """The append definitely did not happen; nothing of it is in the log."""

    code = "store_failed"


class StoreReadOnly(StoreFailed):
    """The store was opened only to be read: nothing is ever written to it."""

    code = "store_read_only"


class NodeFenced(StoreFailed):
    """This node is no member of its cluster now: it may write nothing. Try again, at any node."""

    code = "node_fenced"


class NotOwner(StoreFailed):
    """Another node of the cluster has the session. Try again."""

    code = "not_owner"


class BlobError(StoreError):
    """A blob could not be kept or had; the log is not affected."""

    code = "blob_error"


class BlobMissing(BlobError):
    """There is no blob of that name."""

    code = "blob_missing"


class BlobCorrupt(BlobError):
    """What is stored under a name is not what was put there, or not what it should be."""

    code = "blob_corrupt"


class BlobStoreFailed(BlobError):
    """The blob store did not do it; it may later."""

    code = "blob_store_failed"


class PlatformRefused(EngineError):
    """The self-test found that V8, the kernel or the machine differs from what the engine needs."""

    code = "platform_refused"


class WorkerFailed(EngineError):
    """A worker or the zygote could not start, died early or sent what the protocol forbids."""

    code = "worker_failed"
