"""What may follow what was typed: names of variables, and of properties of their values.

No code of the session is run for it in the session: properties are looked at in a copy of it that is thrown
away, without their getters, and only for so long as somebody waits at a prompt.
"""

from __future__ import annotations

import re

import msgspec
import trio

from cli.repl.place import Place
from cli.target.failures import Failed
from transports.rest.past_shapes import EvaluatedAnswer
from transports.rest.shapes import StateAnswer

SECONDS = 3.0
"""What asking may take; then there is nothing to offer."""
MAX_NAMES = 1_000
"""Of properties."""
BUILTINS = tuple(
    """Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date
    Promise RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError
    globalThis JSON Math Intl ArrayBuffer Atomics Uint8Array Int8Array Uint16Array Int16Array Uint32Array
    Int32Array BigUint64Array BigInt64Array Uint8ClampedArray Float16Array Float32Array Float64Array DataView
    Map BigInt Set Iterator WeakMap WeakSet Proxy Reflect FinalizationRegistry WeakRef decodeURI
    decodeURIComponent encodeURI encodeURIComponent escape unescape eval isFinite isNaN console Temporal
    SuppressedError DisposableStack AsyncDisposableStack WebAssembly setTimeout setInterval setImmediate
    clearTimeout clearInterval clearImmediate queueMicrotask DOMException QuotaExceededError URLSearchParams
    URL TextEncoder TextDecoder atob btoa SubtleCrypto Crypto crypto Event CustomEvent EventTarget reportError
    AbortSignal AbortController Blob File structuredClone PerformanceEntry PerformanceMark PerformanceMeasure
    Performance performance""".split()  # noqa: SIM905 (a table would be a page)
)
"""Properties of the global object that every session has."""
KEYWORDS = tuple(
    """async await break case catch class const continue debugger default delete do else export extends false
    finally for function if import in instanceof let new null return static super switch this throw true try
    typeof using var void while with yield""".split()  # noqa: SIM905
)

_NAME = r"[A-Za-z_$][\w$]*"
_CHAIN = re.compile(rf"{_NAME}(?:\.{_NAME})*\.(?:{_NAME})?")
_IDENTIFIER = re.compile(_NAME)
_MEMBERS = """(() => {
  let value = %(root)s
  for (const name of %(path)s) {
    let holder = Object(value), found
    while (holder !== null && !(found = Object.getOwnPropertyDescriptor(holder, name)))
      holder = Object.getPrototypeOf(holder)
    if (!found || !('value' in found) || found.value == null) return []
    value = found.value
  }
  const names = new Set()
  for (let holder = Object(value); holder !== null && names.size < %(most)d; ) {
    for (const name of Object.getOwnPropertyNames(holder))
      if (/^(?!__)[A-Za-z_$][\\w$]*$/.test(name)) names.add(name)
    holder = Object.getPrototypeOf(holder)
  }
  return [...names].slice(0, %(most)d)
})()"""


class Completer:
    """Completes what is typed at one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[str, list[str]] = {}
        """By what is before the last dot; empty for variables. Of the event that is in ``_at``."""
        self._at: int | None = None

    async def matches(self, word: str) -> list[str]:
        """What ``word`` may become, in order; nothing where that is not known in time."""
        if self._at != self._place.event:
            self._known, self._at = {}, self._place.event
        if "." not in word:
            names = {*await self._names(""), *BUILTINS, *KEYWORDS}
            return sorted(name for name in names if name.startswith(word))
        if _CHAIN.fullmatch(word) is None:
            return []
        chain, _, begun = word.rpartition(".")
        names = set(await self._names(chain))
        return sorted(f"{chain}.{name}" for name in names if name.startswith(begun))

    async def _names(self, chain: str) -> list[str]:
        if chain not in self._known:
            with trio.move_on_after(SECONDS):
                try:
                    self._known[chain] = await (self._members(chain) if chain else self._variables())
                except (Failed, msgspec.ValidationError):  # whatever is wrong, the next statement tells
                    self._known[chain] = []
        return self._known.get(chain, [])

    async def _variables(self) -> list[str]:
        if self._place.event is None:
            return []
        path = f"/api/sessions/{self._place.session}/state"
        told = await self._place.client.ask(StateAnswer, "GET", path)
        return [one.name for one in told.globals if _IDENTIFIER.fullmatch(one.name)]

    async def _members(self, chain: str) -> list[str]:
        if self._place.event is None:
            return []
        root, *names = chain.split(".")
        code = _MEMBERS % {"root": root, "path": msgspec.json.encode(names).decode(), "most": MAX_NAMES}
        body = {"code": code, "execution_timeout_secs": SECONDS}
        path = f"/api/sessions/{self._place.session}/evaluate"
        told = await self._place.client.ask(EvaluatedAnswer, "POST", path, body=body)
        return msgspec.convert(told.result_json or [], list[str])
