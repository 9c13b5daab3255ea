"""How the engine's errors look over HTTP: the one place that maps its error tree to statuses."""

from __future__ import annotations

import logging
import secrets

import msgspec
from msgspec import Struct

from engine import errors
from transports.asgi import BODY_SECONDS, BodyRefused, BodyTooLarge, JsonAnswer

logger = logging.getLogger(__name__)

STATUS: dict[type[errors.EngineError], int] = {
    errors.RequestError: 400,
    errors.InvalidField: 400,
    errors.TooLarge: 413,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.KeyReused: 422,
    errors.FileCorrupt: 422,
    errors.TooManySessions: 409,
    errors.Busy: 429,
    errors.Unavailable: 503,
    errors.Elsewhere: 503,
    errors.StoreFailed: 503,
    errors.StoreFull: 507,
    errors.WorkerFailed: 503,
    errors.EngineError: 500,
}
"""The status of an error is that of its nearest ancestor here."""

RETRY_AFTER_SECONDS = "1"
_RETRY = (429, 503)


class ErrorBody(Struct, frozen=True):
    """What a client gets with a 4xx or 5xx."""

    error: str
    """A sentence: what happened and what to do."""
    code: str
    """A stable word for programs."""
    field: str | None = None
    """The part of the request at fault."""


def answer(status: int, sentence: str, code: str, field: str | None = None) -> JsonAnswer:
    """The answer that says ``sentence``."""
    retry = (("retry-after", RETRY_AFTER_SECONDS),) if status in _RETRY else ()
    return JsonAnswer(status, msgspec.json.encode(ErrorBody(sentence, code, field)), retry)


def method_answer(method: str, path: str, allowed: str) -> JsonAnswer:
    """The answer for a method that a route does not have."""
    told = answer(405, f"{method} is not for {path}; use {allowed}", "method_not_allowed")
    return JsonAnswer(told.status, told.body, (("allow", allowed),))


def body_answer(refused: BodyRefused) -> JsonAnswer:
    """The answer for a body that was too much or too slow."""
    if isinstance(refused, BodyTooLarge):
        return answer(413, f"the body is over {refused.limit:,} bytes", "too_large")
    return answer(408, f"the body did not come within {BODY_SECONDS:g} s", "timeout")


def engine_answer(error: errors.EngineError) -> JsonAnswer:
    """The answer for an error of the engine; one that is not the client's fault is logged.

    That the store is full is not: it was, once, and clients could fill the log with it.
    """
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status >= 500 and not isinstance(error, errors.StoreFull):
        logger.error("%s: %s", error.code, error.message)
    return answer(status, error.message, error.code, error.field)


def internal_answer(error: BaseException) -> JsonAnswer:
    """A 500 that tells the client nothing but an id, under which the error is logged in full."""
    return answer(500, internal_sentence(error), "internal")


def internal_sentence(error: BaseException) -> str:
    """Log ``error`` under a new id; the sentence that tells a client the id."""
    name = secrets.token_hex(6)
    logger.error("internal error %s", name, exc_info=error)
    return f"internal error {name}: what was logged under this id has the details"


def failure_answer(failure: Exception) -> JsonAnswer:
    """The answer for whatever a door has raised."""
    match failure:
        case errors.EngineError():
            return engine_answer(failure)
        case BodyRefused():
            return body_answer(failure)
        case _:
            return internal_answer(failure)
