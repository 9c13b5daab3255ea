"""Objects that are named by the hash of their body, so that they never change."""

from __future__ import annotations

from engine.errors import StoreCorrupt, StoreError
from persistence.changes import Part
from persistence.s3 import envelope
from persistence.s3.objects import Missing, Objects, Refused, Unanswered


def put(objects: Objects, folder: str, kind: bytes, version: int, body: bytes) -> Part:
    """Keep a body in a folder. Raises Refused, Unanswered."""
    name = envelope.digest(body).hex()
    objects.put(folder + name, envelope.seal(kind, version, body))
    return Part(name, len(body))


def get(objects: Objects, folder: str, kind: bytes, version: int, part: Part) -> bytes:
    """A body, verified. Raises StoreCorrupt if it is not there or altered, StoreError."""
    name = folder + part.name
    body = envelope.unseal(kind, version, read(objects, name), name)
    if envelope.digest(body).hex() != part.name:
        raise StoreCorrupt(f"{name} is another object")
    return body


def read(objects: Objects, name: str) -> bytes:
    """An object of the log. Raises StoreCorrupt if it is not there, StoreError."""
    try:
        return objects.get(name)
    except Missing:
        raise StoreCorrupt(f"{name} is missing: a part of the log was lost") from None
    except (Refused, Unanswered) as failed:
        raise StoreError(str(failed)) from failed
