"""What is alive in an isolate: the errors, whose stacks a snapshot needs formatted, and what none can hold.

For the process that makes a snapshot and ends: it collects garbage, and looks at every object.

V8 formats the stack of an error when it is first read. A snapshot with an error that is alive and whose stack
nobody has read is made, and cannot be restored; so each is read here, where that calls nothing of the
guest's. An error whose name changes after that tells the old one in its stack; see docs/checkpoints.md.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Mapping

from engine.isolate import native
from engine.isolate.isolate import Isolate

ERROR = "Error"
"""The kind of all errors of the language."""

_KINDS: tuple[tuple[str, str], ...] = (
    (ERROR, "new Error()"),
    ("Intl.Collator", "new Intl.Collator()"),
    ("Intl.DateTimeFormat", "new Intl.DateTimeFormat()"),
    ("Intl.DisplayNames", "new Intl.DisplayNames('en', { type: 'region' })"),
    ("Intl.DurationFormat", "new Intl.DurationFormat()"),
    ("Intl.ListFormat", "new Intl.ListFormat()"),
    ("Intl.Locale", "new Intl.Locale('en')"),
    ("Intl.NumberFormat", "new Intl.NumberFormat()"),
    ("Intl.PluralRules", "new Intl.PluralRules()"),
    ("Intl.RelativeTimeFormat", "new Intl.RelativeTimeFormat()"),
    ("Intl.Segmenter", "new Intl.Segmenter()"),
    ("Intl segments", "new Intl.Segmenter().segment('')"),
    ("Intl segment iterator", "new Intl.Segmenter().segment('')[Symbol.iterator]()"),
    ("Intl.v8BreakIterator", "new Intl.v8BreakIterator()"),
    ("Temporal.Duration", "new Temporal.Duration()"),
    ("Temporal.Instant", "new Temporal.Instant(0n)"),
    ("Temporal.PlainDate", "new Temporal.PlainDate(2000, 1, 1)"),
    ("Temporal.PlainDateTime", "new Temporal.PlainDateTime(2000, 1, 1)"),
    ("Temporal.PlainMonthDay", "new Temporal.PlainMonthDay(1, 1)"),
    ("Temporal.PlainTime", "new Temporal.PlainTime()"),
    ("Temporal.PlainYearMonth", "new Temporal.PlainYearMonth(2000, 1)"),
    ("Temporal.ZonedDateTime", "new Temporal.ZonedDateTime(0n, 'UTC')"),
    ("WebAssembly.Instance", "new WebAssembly.Instance(module)"),
    ("WebAssembly.Module", "module"),
    ("WebAssembly.Table", "new WebAssembly.Table({ initial: 1, element: 'anyfunc' })"),
)
"""Errors, and what V8 keeps outside of its heap and no snapshot holds, by an example of each."""

_EMPTY_MODULE = "const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));"


def kinds(isolate: Isolate) -> dict[int, str]:
    """V8's number for the type of each kind. Leaves objects behind that no snapshot holds."""
    found = {}
    with isolate.scope():
        for name, example in _KINDS:
            source = f"(() => {{ {_EMPTY_MODULE} return {example}; }})()"
            found[native.instance_type(isolate.run_script(source))] = name
    return found


class Survey:
    """All that is alive in ``isolate``, after collecting garbage; ``kinds`` are those of ``kinds``."""

    def __init__(self, isolate: Isolate, kinds: Mapping[int, str]) -> None:
        self.errors: list[int] = []
        """The errors, as tagged pointers: valid until something is allocated."""
        self.unsupported: dict[str, int] = {}
        """How many objects there are of each kind that no snapshot holds."""
        kind_of_map: dict[int, str | None] = {}
        cage = isolate.cage
        words = native.words_of(cage)
        for tagged in isolate.objects():  # a million of them, so little is done for each
            if tagged ^ cage > native.CAGE_MASK:
                continue  # one of V8's own, elsewhere
            map_word = words[(tagged & native.CAGE_MASK) >> 2]
            try:
                kind = kind_of_map[map_word]
            except KeyError:
                kind = kind_of_map[map_word] = kinds.get(native.type_of_map(cage, map_word))
            if kind is None:
                continue
            if kind == ERROR:
                self.errors.append(tagged)
            else:
                self.unsupported[kind] = self.unsupported.get(kind, 0) + 1


def format_stacks(isolate: Isolate, errors: list[int]) -> bool:
    """Format the stacks of errors that were just found; whether that could be done without the guest."""
    with isolate.scope():
        handles = []
        for tagged in errors:
            handle = isolate.integer(0)  # allocates nothing, which could move the errors
            c.c_uint64.from_address(handle).value = tagged
            handles.append(handle)
        return all(isolate.boolean(isolate.control("formatStack", handle)) for handle in handles)
