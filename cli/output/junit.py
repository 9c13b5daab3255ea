"""Results as JUnit's XML, which every CI shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, not even as references."""


class Case(Struct, frozen=True, kw_only=True):
    """One test."""

    group: str
    name: str
    seconds: float | None = None
    failure: tuple[str, str] | None = None
    """What failed, in a line and in full."""
    error: str | None = None
    """Why it could not be run."""


def write(path: Path, suite: str, cases: Sequence[Case], seconds: float) -> None:
    """Write a file of one suite. Raises OSError."""
    from xml.etree import ElementTree as Xml  # not for every replay

    totals = {
        "name": suite,
        "tests": str(len(cases)),
        "failures": str(sum(case.failure is not None for case in cases)),
        "errors": str(sum(case.error is not None for case in cases)),
        "time": f"{seconds:.3f}",
    }
    root = Xml.Element("testsuites", totals)
    inner = Xml.SubElement(root, "testsuite", totals)
    for case in cases:
        named = {"classname": case.group, "name": case.name}
        if case.seconds is not None:
            named["time"] = f"{case.seconds:.3f}"
        test = Xml.SubElement(inner, "testcase", named)
        if case.failure is not None:
            line, whole = case.failure
            failure = Xml.SubElement(test, "failure", {"message": _possible(line)})
            failure.text = _possible(whole)
        if case.error is not None:
            Xml.SubElement(test, "error", {"message": _possible(case.error)})
    Xml.indent(root)
    path.write_bytes(Xml.tostring(root, "utf-8", xml_declaration=True) + b"\n")


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
