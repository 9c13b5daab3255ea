"""docs/environment.md names every global of a session, and nothing that is not there."""

from __future__ import annotations

import re

from documents import ROOT
from test_docs_facts import rows

ENVIRONMENT = ROOT / "docs" / "environment.md"
LANGUAGE = """
Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error
AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError globalThis JSON Math Intl ArrayBuffer
Atomics Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array BigUint64Array BigInt64Array Uint8ClampedArray
Float32Array Float64Array DataView Map BigInt Set Iterator WeakMap WeakSet Proxy Reflect decodeURI decodeURIComponent
encodeURI encodeURIComponent escape unescape eval isFinite isNaN WeakRef FinalizationRegistry Temporal SuppressedError
DisposableStack AsyncDisposableStack Float16Array
"""


def names(first_column: str) -> list[str]:
    """The names in code type in the first cells of the tables with that heading."""
    return [name for row in rows(ENVIRONMENT, first_column) for name in re.findall(r"`([^`]+)`", row[0])]


def test_every_global_is_documented(evaluate):
    present = evaluate("Reflect.ownKeys(globalThis).join(' ')").strip("'").split()
    assert sorted(names("global")) == sorted(set(present) - set(LANGUAGE.split()))


def test_what_is_called_absent_is_absent(evaluate):
    paths = ["?.".join(name.split(".")) for name in names("absent")]
    assert paths
    found = evaluate(f"[{', '.join(f'globalThis.{path}' for path in paths)}].every((x) => x === undefined)")
    assert found == "true"


def test_the_console_has_the_documented_methods(evaluate):
    section = ENVIRONMENT.read_text().split("### Console\n")[1].split(", with Node's")[0]
    documented = re.findall(r"`(\w+)`", section)
    assert evaluate("Object.keys(console).sort().join()") == f"'{','.join(sorted(documented))}'"
