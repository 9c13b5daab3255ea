"""Hostile code, one module for each kind. Each script says what has to come of it."""

from __future__ import annotations

from attacks import (
    bridge,
    buffers,
    collections,
    consoles,
    cpu,
    heap,
    microtasks,
    nesting,
    numbers,
    parser,
    recursion,
    regexps,
    strings,
    tampering,
    timers,
    unicode,
    values,
    wasm_modules,
)
from attacks.script import Script

KINDS: dict[str, dict[str, Script]] = {
    module.__name__.rpartition(".")[2]: module.SCRIPTS
    for module in (
        cpu,
        heap,
        buffers,
        strings,
        collections,
        numbers,
        regexps,
        wasm_modules,
        recursion,
        microtasks,
        timers,
        consoles,
        tampering,
        values,
        parser,
        nesting,
        unicode,
        bridge,
    )
}
