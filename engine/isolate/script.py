"""An execution's code as the script that V8 runs; and places in that script as places in the code. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.isolate import codetext
from engine.isolate.codeframe import code_frame
from engine.isolate.isolate import BASE_SCRIPT, Location

_OBJECT_LITERAL = re.compile(r"\s*\{(?!.*;\s*\Z)", re.DOTALL)
_GUEST_FRAME = re.compile(r"^    at (?:.*\()?(exec-\d+\.js):(\d{1,9}):(\d{1,9})", re.MULTILINE)
_CLASH = re.compile(r"SyntaxError: Identifier '(.+)' has already been declared(\n    at exec-\d+\.js:1:1)?")
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
        return location._replace(column=_inside(location.column)) if location.line == 1 else location

    def stack_in_expression(self, stack: str) -> str:
        """A stack whose places in this script are those of ``expression``, in the code's terms."""
        first_line = re.compile(rf"\b{re.escape(self.name)}:1:([0-9]+)\b")
        return first_line.sub(lambda place: f"{self.name}:1:{_inside(int(place[1]))}", stack)

    def place(self, location: Location | None, stack: str | None) -> tuple[Location | None, str | None]:
        """Where the guest's own code was, from what V8 says of an error and from the error's stack; and
        the stack, made to agree.

        V8 may know nothing (the stack was read before the throw), or a place in the base image, or
        the code's first character for a declaration that clashes with an earlier script's.
        """
        clash = _CLASH.fullmatch(stack or "")
        if location is None or clash is None or location[1:3] != (1, 1) or not self._is_own(location):
            return self._place(location, stack), stack
        found = self._declaration(clash[1], location)
        frame = f"\n    at {self.name}:{found.line}:{found.column}" if found else ""
        return found, clash[0].removesuffix(clash[2] or "") + frame

    def _place(self, location: Location | None, stack: str | None) -> Location | None:
        if location is None or location.line < 1 or location.script == BASE_SCRIPT:
            frame = _GUEST_FRAME.search(stack or "")
            return Location(frame[1], int(frame[2]), int(frame[3]), "") if frame else None
        if not self._is_own(location):
            return location
        if location.line > self._lines:  # it ended too early
            return location._replace(line=self._lines, column=_column_behind(self.code))
        return location

    def frame(self, location: Location) -> str | None:
        """The lines around a place in this script or another one."""
        source = self.code if self._is_own(location) else location.source.partition(_SOURCE_URL)[0]
        return code_frame(source, location.line, location.column)

    def _declaration(self, name: str, location: Location) -> Location | None:
        """Where the code declares ``name``, as far as that can be told without parsing it."""
        keywords = r"\b(?:let|const|var|class|using|function\*?)\s"
        found = re.search(rf"{keywords}[^;\n]*?(?<![\w$.]){re.escape(name)}(?![\w$])", self.code)
        if found is None:
            return None
        before = self.code[: found.end() - len(name)]
        return location._replace(line=len(codetext.lines_of(before)), column=_column_behind(before))

    @property
    def _lines(self) -> int:
        return len(codetext.lines_of(self.code))

    def _is_own(self, location: Location) -> bool:
        return location.script in {"", self.name}  # a syntax error's script has no name yet


def _inside(column: int) -> int:
    """A column of an expression's first line in the code; its parenthesis counts as the first character."""
    return max(1, column - 1)


def _column_behind(code: str) -> int:
    """The column behind the end of the code."""
    return codetext.units(codetext.lines_of(code)[-1]) + 1
