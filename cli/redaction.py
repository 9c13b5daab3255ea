"""Masks secrets in what is exported, so that the file can be shown to others.

A secret is found as it reads, also where JSON or JavaScript has written it with escapes, as ``"it\\'s"``, and
where that happened to it more than once. Ids, digests and request hashes are left out: from a hash somebody
could find out by trying what was masked. So is the seed, from which every random number of an execution can
be made again, and the frame of an error, which repeats the code and may be cut within a secret.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.chain import Record
from engine.portable import Header, RedactedLine

MARK = "[redacted]"

_HASHES = ("digest", "request_hash")
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|u\{[0-9a-fA-F]{1,5}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_MAX_ESCAPED = 4
"""How often a text is taken to be written with escapes of escapes."""

_Place = Callable[[int], int]
"""Where in a text itself a place is of what is read in it."""


class Redactor:
    """Puts MARK in the place of what ``patterns`` match in any text of an event."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        self._patterns = patterns

    def header(self, header: Header) -> Header:
        """The first line of the redacted file."""
        return replace(
            header,
            redacted=True,
            head=None,
            session=self.text(header.session),
            owner=self.text(header.owner),
        )

    def line(self, record: Record) -> RedactedLine:
        """The line of an event."""
        fields = msgspec.to_builtins(record.event, builtin_types=(bytes,))
        kind = fields.pop("type")
        for name in _HASHES:
            fields.pop(name, None)
        fields.get("trace", {}).pop("seed", None)
        if "digests" in fields:
            fields["digests"] = list(fields["digests"])
        error = fields.get("error") or fields.get("outcome", {}).get("error")
        if error is not None:
            del error["frame"]
        if "tags" in fields:
            fields["tags"] = {self.text(key): value for key, value in fields["tags"].items()}
        return RedactedLine(event=record.event.seq, type=kind, fields=self._masked(fields))

    def text(self, text: str) -> str:
        """The text, masked."""
        plain = text
        place: _Place = _same
        spans: list[tuple[int, int]] = []
        for _ in range(_MAX_ESCAPED):
            for pattern in self._patterns:
                spans += [(place(one.start()), place(one.end())) for one in pattern.finditer(plain)]
            if "\\" not in plain:
                break
            plain, place = _unescaped(plain, place)
        return _marked(text, sorted(spans))

    def _masked(self, value: Any) -> Any:
        """The same with every text in it masked, but for the names of fields."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._masked(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(inner) for inner in value]
        return value


def _same(place: int) -> int:
    return place


def _marked(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with MARK for each of the spans, which are in order; for one where they overlap."""
    pieces: list[str] = []
    at = 0
    for first, end in spans:
        if first >= at and first < end:
            pieces += [text[at:first], MARK]
        at = max(at, end)
    return "".join([*pieces, text[at:]])


def _unescaped(text: str, place: _Place) -> tuple[str, _Place]:
    """What is read where the text is written with escapes, and the places in it."""
    pieces: list[str] = []
    read, written = [0], [0]
    length = 0
    for escape in _ESCAPE.finditer(text):
        meant = _meaning(escape[0][1:])
        pieces += [text[written[-1] : escape.start()], meant]
        length += escape.start() - written[-1]
        read += [length, length + len(meant)]
        written += [escape.start(), escape.end()]
        length += len(meant)
    pieces.append(text[written[-1] :])

    def before(at: int) -> int:
        mark = bisect_right(read, at) - 1
        return place(written[mark] + at - read[mark])

    return "".join(pieces), before


def _meaning(escaped: str) -> str:
    """What is behind a backslash, as JSON and JavaScript read it."""
    if escaped[0] in "ux" and len(escaped) > 1:
        units = re.findall(r"[0-9a-fA-F]{2,}", escaped.replace("u{", "u{0")) or ["0"]
        if len(units) == 1:
            return chr(int(units[0], 16))
        return bytes.fromhex("".join(units)).decode("utf-16-be")
    return _CONTROLS.get(escaped, escaped)
