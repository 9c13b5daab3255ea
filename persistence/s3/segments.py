"""Older parts of the log: many batches in one object, and the manifests that say which.

A segment is named by the hash of its body. Which segments make up the log up to which batch, a *manifest*
says; they are numbered, and the last one counts. What is only in segments that no manifest names, or in
batches that one covers, is not needed any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from engine.errors import StoreCorrupt, StoreError
from persistence.changes import Part
from persistence.s3 import envelope, named
from persistence.s3.batches import BEGINNING, PREFIX, Batch, Opened, Position, version_of
from persistence.s3.objects import Exists, Objects, Refused, Unanswered

SEGMENTS, MANIFESTS = "segments/", "manifests/"
_SEGMENT, _MANIFEST, _VERSION = b"mcpv8sg", b"mcpv8mf", 2
"""The version is that of the batches (``batches.version_of``) that are in it, or are told of."""


class Segment(Struct, frozen=True):
    """What a manifest says of a segment."""

    part: Part
    first: int
    """Number of its first batch."""
    last: int


class Manifest(Struct, frozen=True):
    """The log up to a batch."""

    number: int
    """Of the manifest; -1 where there is none yet."""
    end: Position
    segments: tuple[Segment, ...]
    """In the order of their batches, without gaps."""
    holder: Opened | None = None
    """Who had the log at the end."""
    imports: tuple[str, ...] = ()
    """Names of the parts of imports that changes in them name."""
    base: tuple[Part, ...] = ()
    """Parts of the index (``persistence.s3.bases``) that the segments come after, or ``end`` where there are
    none; empty: they come after nothing.
    """
    ahead: dict[str, int] = {}
    """Number of each writer's last batch that is in the base: of a cluster it has some that come after it."""


NONE = Manifest(-1, BEGINNING, ())

_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(tuple[Batch, ...])
_manifest = msgspec.msgpack.Decoder(Manifest)


def put(objects: Objects, found: Sequence[Batch], first: int, last: int) -> Segment:
    """Keep what is left of consecutive batches as a segment. Raises Refused, Unanswered."""
    body = _encoder.encode(tuple(found))
    return Segment(named.put(objects, SEGMENTS, _SEGMENT, version_of(found), body), first, last)


def get(objects: Objects, segment: Segment) -> tuple[Batch, ...]:
    """The batches in a segment. Raises StoreCorrupt if it is not there or altered, StoreError."""
    body = named.get(objects, SEGMENTS, _SEGMENT, _VERSION, segment.part)
    try:
        return _batches.decode(body)
    except msgspec.DecodeError as broken:
        raise StoreCorrupt(f"segment {segment.part.name} cannot be decoded: {broken}") from broken


def newest(objects: Objects, known: Manifest = NONE) -> Manifest:
    """The manifest that counts, not read again if it is ``known``. Raises StoreCorrupt, StoreError."""
    name = _last(objects)
    if name is None:
        return NONE
    if name == _key(known.number):
        return known
    while True:
        try:
            data = named.read(objects, name)
            break
        except StoreCorrupt:  # it is missing: a newer one has just taken its place, or it was lost
            if (newer := _last(objects)) is None or newer == name:
                raise
            name = newer
    body = envelope.unseal(_MANIFEST, _VERSION, data, name)
    try:
        manifest = _manifest.decode(body)
    except msgspec.DecodeError as broken:
        raise StoreCorrupt(f"{name} cannot be decoded: {broken}") from broken
    if _key(manifest.number) != name:
        raise StoreCorrupt(f"{name} is another manifest")
    return manifest


def _last(objects: Objects) -> str | None:
    """Key of the manifest that counts. Raises StoreError."""
    try:
        return max((one.key for one in objects.find(MANIFESTS)), default=None)
    except (Refused, Unanswered) as failed:
        raise StoreError(str(failed)) from failed


def publish(objects: Objects, manifest: Manifest) -> bool:
    """Make a manifest the one that counts; False if there is another one of that number.

    Raises Refused; Unanswered, and then it is not known.
    """
    version = 2 if manifest.holder is not None and manifest.holder.cluster else 1
    try:
        objects.put(
            _key(manifest.number), envelope.seal(_MANIFEST, version, _encoder.encode(manifest)), new=True
        )
    except Exists:
        return False
    return True


def is_begun(objects: Objects) -> bool:
    """Whether there is a log, or some of one. Raises Refused, Unanswered."""
    return any(True for folder in (MANIFESTS, PREFIX) for _ in objects.find(folder))


def older(objects: Objects, manifest: Manifest) -> Iterator[str]:
    """Keys of the manifests before that one. Raises Refused, Unanswered."""
    for found in objects.find(MANIFESTS):
        if found.key >= _key(manifest.number):
            return
        yield found.key


def _key(number: int) -> str:
    return f"{MANIFESTS}{number:020d}"
