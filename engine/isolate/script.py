"""An execution's code as the script that V8 runs; and places in that script as places in the code. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.isolate.codeframe import code_frame
from engine.isolate.image import BASE_SCRIPT
from engine.isolate.isolate import Location

_OBJECT_LITERAL = re.compile(r"\s*\{(?!.*;\s*\Z)", re.DOTALL)
_GUEST_FRAME = re.compile(r"(exec-\d+\.js):(\d+):(\d+)")
_SOURCE_URL = "\n//# sourceURL=exec-"


class Script(Struct, frozen=True):
    """The code of the event ``seq``.

    A leading ``{a: 1}`` is an object, as in Node's REPL: such code is also tried in parentheses, as an
    expression. The one before the code moves the columns of its first line.
    """

    seq: int
    code: str

    @property
    def name(self) -> str:
        """What stacks call it."""
        return f"exec-{self.seq}.js"

    @property
    def source(self) -> str:
        """What V8 is to run."""
        return f"{self.code}\n//# sourceURL={self.name}"

    @property
    def expression(self) -> str | None:
        """What V8 is to try before that; None if the code does not look like an object."""
        if _OBJECT_LITERAL.match(self.code) is None:
            return None
        return f"({self.code}\n)\n//# sourceURL={self.name}"

    def place_in_expression(self, location: Location | None) -> Location | None:
        """A place in ``expression`` as one in the code; None if it is not in there."""
        if location is None or location.line > self._lines:
            return None
        return location._replace(column=location.column - 1) if location.line == 1 else location

    def stack_in_expression(self, stack: str) -> str:
        """A stack whose places in this script are those of ``expression``, in the code's terms."""
        first_line = re.compile(rf"\b{re.escape(self.name)}:1:([0-9]+)\b")
        return first_line.sub(lambda place: f"{self.name}:1:{int(place[1]) - 1}", stack)

    def place(self, location: Location | None, stack: str | None) -> Location | None:
        """Where the guest's own code was: an error may come out of a function of the base image."""
        if location is None or location.line < 1:  # V8 does not know, as for `throw null`
            return None
        if location.script == BASE_SCRIPT:
            frame = _GUEST_FRAME.search(stack or "")
            return Location(frame[1], int(frame[2]), int(frame[3]), "") if frame else None
        if self._is_own(location) and location.line > self._lines:  # it ended too early
            last = self.code.rpartition("\n")[2]
            return location._replace(line=self._lines, column=len(last) + 1)
        return location

    def frame(self, location: Location) -> str | None:
        """The lines around a place in this script or another one."""
        source = self.code if self._is_own(location) else location.source.partition(_SOURCE_URL)[0]
        return code_frame(source, location.line, location.column)

    @property
    def _lines(self) -> int:
        return self.code.count("\n") + 1

    def _is_own(self, location: Location) -> bool:
        return location.script in {"", self.name}  # a syntax error's script has no name yet
