"""Bytes of a fuzzer, read as choices: the same bytes are always the same values.

A mutation of the bytes is a mutation of the values, so that a fuzzer which knows of bytes only gets past the
decoders. Where the bytes end every further choice is the first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MAX_TEXT: Final = 1 << 20
"""Characters of all texts together: enough for what takes quadratic time to be noticed."""
_TIMES: Final = (2, 3, 4, 8, 16, 64, 256, 1_000)
_EDGES: Final = (
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2**31 - 1,
    2**31,
    2**32,
    2**53 - 1,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**31),
    -(2**53),
    -(2**63),
    10**15,
    10**18,
)
_WORDS: Final = (
    "",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "\0",
    "\x1b[31m",
    "\x7f",
    "\x85",
    "\u2028",
    "\u202e",
    "\ufeff",
    "\ufffd",
    "é",
    "\U0001f600",
    "e\u0301",
    "a",
    "data: ",
    "\n\nevent: done\ndata: {}\n\n",
    "=",
    "'",
    '"',
    "`",
    "\\",
    "\\ud800",
    "\\u0000",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    ",",
    ":",
    ";",
    "@",
    "%",
    "%ff",
    "%00",
    "&",
    "/",
    "..",
    "0",
    "1",
    "-",
    ".",
    "1e400",
    "-0",
    "1e308",
    "NaN",
    "Infinity",
    "null",
    "true",
    "9" * 400,
    "9" * 5_000,
    "    at ",
    "\n    at exec-1.js:1:1",
    "] {",
    " {\n",
    "\n}",
    "> 1 | ",
    "class ",
    "function ",
    "const ",
    "let ",
    " as ",
    " for x in ",
    "=> await",
    "extends ",
    "public ",
    "Error: ",
    "Uncaught",
    "SyntaxError",
    "TypeError",
    "ReferenceError",
    "Unexpected ",
    "Unexpected identifier",
    "Unexpected token ':'",
    "Unexpected token '<'",
    "missing )",
    "Invalid or unexpected token",
    " is not defined",
    " is not valid JSON",
    "demo",
    "demo@1",
    "s_0123456789abcdef",
    "e_0123456789abcdef",
    "0123456789abcdef" * 4,
)
"""Pieces of texts that mean something somewhere."""


class Data:
    """Reads choices from ``data``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._room = MAX_TEXT

    def byte(self) -> int:
        """The next byte; 0 behind the end."""
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def take(self, length: int) -> bytes:
        """As many of the bytes as there are."""
        self._at += length
        return self._data[self._at - length : self._at]

    def rest(self) -> bytes:
        """All that are left."""
        return self.take(len(self._data))

    def below(self, limit: int) -> int:
        """A number from 0."""
        number = self.byte()
        while limit > 256:
            number = number << 8 | self.byte()
            limit >>= 8
        return number % limit

    def rarely(self) -> bool:
        """True once in sixteen times; false behind the end."""
        return self.byte() % 16 == 15

    def choose(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[self.byte() % len(among)] if len(among) <= 256 else among[self.below(len(among))]

    def integer(self) -> int:
        """A small number, one at an edge, or any of 64 bits."""
        match self.byte() % 4:
            case 0:
                return self.byte()
            case 1:
                return self.choose(_EDGES)
            case 2:
                return int.from_bytes(self.take(8), "little", signed=True)
            case _:
                return self.choose(_EDGES) + self.byte() - 128

    def number(self) -> float:
        """An integer or a fraction, also infinite or none."""
        number = self.choose((0.0, -0.0, 0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")))
        return number if self.byte() % 2 else float(self.integer())

    def octets(self) -> bytes:
        """Any bytes."""
        return self.take(self.byte())

    def text(self) -> str:
        """Words, characters and repetitions; all texts together have at most MAX_TEXT characters."""
        pieces: list[str] = []
        for _ in range(self.byte() % 12):
            match self.byte() % 4:
                case 0:
                    piece = self.take(self.byte() % 32).decode(errors="replace")
                case 1:
                    last = "".join(pieces[-1 - self.byte() % 3 :])
                    times = self.choose(_TIMES) * (1_000 if self.rarely() else 1)
                    piece = last[: self._room] * min(times, 1 + self._room // max(1, len(last)))
                case _:
                    piece = self.choose(_WORDS)
            pieces.append(piece[: self._room])
            self._room -= len(pieces[-1])
        return "".join(pieces)
