"""Errors of the engine on their way from the node that raised them to the one that asked."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.peers.frames import MAX_SENTENCE, Failed
from engine.errors import EngineError


def written(call: int, error: EngineError) -> Failed:
    """The frame that tells of it."""
    field = None if error.field is None else error.field[:128]
    return Failed(call, error.code[:64], error.message[:MAX_SENTENCE], field)


def read(failed: Failed) -> EngineError:
    """The same error: of the class that has its code.

    Where that class holds more than a sentence, it is of the nearest ancestor that does not; a code that is
    not known here is of another version, and of ``EngineError``. In each case it has the code that was told.
    """
    kind = next(
        (kind for kind in _classes(EngineError) if vars(kind).get("code") == failed.code), EngineError
    )
    plain = next(made for made in kind.__mro__ if _takes_a_sentence(made))
    error: EngineError = plain(failed.message, field=failed.field)
    error.code = failed.code
    return error


def _classes(kind: type[EngineError]) -> Iterator[type[EngineError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _classes(below)


def _takes_a_sentence(kind: type) -> bool:
    return issubclass(kind, EngineError) and kind.__init__ is EngineError.__init__
