"""What a client's message must be before the SDK sees it: one JSON-RPC request, notification or response.

The SDK tells a client of a wrong message in the words of its validation library, with another code than
JSON-RPC names, and takes a request whose id is wrong for a notification, which nobody answers.
"""

from __future__ import annotations

import json
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603
"""Codes of JSON-RPC 2.0, by their names in the SDK, which takes too long to import for them alone."""
_SHOWN = 200
"""Characters of what is wrong with a message."""


class Malformed(Exception):
    """Bytes that are no message."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.answer = error_body(code, sentence)
        """What the client is told: a JSON-RPC error."""


class Envelope(Struct, frozen=True):
    """A message, as far as all messages are alike."""

    jsonrpc: Literal["2.0"]
    id: int | str | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: dict[str, Raw] | UnsetType | None = UNSET
    result: object = UNSET
    error: object = UNSET


_decoder = msgspec.json.Decoder(Envelope)


class _Error(Struct, frozen=True):
    code: int
    message: str
    data: object = UNSET


class _Response(Struct, frozen=True, kw_only=True):
    jsonrpc: str = "2.0"
    id: int | str | None
    error: _Error


def error_body(code: int, sentence: str, *, to: Envelope | None = None, data: object = UNSET) -> bytes:
    """A JSON-RPC error, about a message whose id is not known or the one in an envelope."""
    answered = None if to is None or to.id is UNSET else to.id
    return msgspec.json.encode(_Response(id=answered, error=_Error(code, sentence, data)))


def open_envelope(message: bytes) -> Envelope:
    """The message's envelope. Raises Malformed."""
    try:
        envelope = _decode(message)
    except msgspec.ValidationError as wrong:
        if message.lstrip()[:1] == b"[":
            sentence = "batches are not taken: send each message in a request of its own"
        else:
            sentence = f"the message is no JSON-RPC message: {str(wrong)[:_SHOWN]}"
        raise Malformed(INVALID_REQUEST, sentence) from wrong
    except ValueError as broken:
        raise Malformed(PARSE_ERROR, f"the message is not JSON: {str(broken)[:_SHOWN]}") from broken
    except RecursionError as broken:
        raise Malformed(PARSE_ERROR, "the message is nested too deeply") from broken
    if envelope.method is UNSET:
        if envelope.id is UNSET or (envelope.result is UNSET and envelope.error is UNSET):
            raise Malformed(INVALID_REQUEST, "the message has neither a `method` nor a `result` or `error`")
    elif envelope.id is None:
        raise Malformed(INVALID_REQUEST, "the `id` of a request is a string or a whole number, not null")
    return envelope


def _decode(message: bytes) -> Envelope:
    """The message's envelope, where that is all there is to say. Raises ValueError and RecursionError."""
    try:
        return _decoder.decode(message)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        # half a character, or NaN: the SDK lets them through, and the tools tell a model what is wrong
        decoded = json.loads(message)
    if isinstance(decoded, dict) and isinstance(decoded.get("params"), dict):
        decoded["params"] = {}
    return msgspec.convert(decoded, Envelope)
