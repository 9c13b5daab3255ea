"""Scripts, each a session of a few events, whose state must come out the same on every road.

One module for each kind. The last event of each script reads what can only be read by calling it: closures,
private fields, generators; what variables and their properties hold is read out by ``readout``.
"""

from __future__ import annotations

from collections import ChainMap

from corpus import (
    classes,
    collections,
    declined,
    errors,
    flow,
    hot,
    memory,
    numbers,
    scopes,
    shapes,
    stack,
    unread_stacks,
    web,
)

KINDS: dict[str, dict[str, list[str]]] = {
    module.__name__.rpartition(".")[2]: module.SCRIPTS
    for module in (
        stack,
        memory,
        shapes,
        hot,
        collections,
        flow,
        classes,
        scopes,
        errors,
        unread_stacks,
        numbers,
        web,
        declined,
    )
}
SCRIPTS: dict[str, list[str]] = dict(ChainMap(*KINDS.values()))
"""All, by name."""
CHECKPOINTED = [name for name in SCRIPTS if name not in declined.SCRIPTS]
"""The names of those whose state a snapshot can hold after every event."""
