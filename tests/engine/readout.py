"""Everything that a session holds, as the console lines of one last event: equal outcomes can hide unequal state.

``PRELUDE`` must be the session's first event. ``code`` is the last one: its console has a line for each
variable and each object that can be reached from there (properties with their attributes, what getters
answer, the entries of Maps and Sets, bytes, weak collections' holdings, functions' sources), a hash of
each built-in object, and a hash of it all; its value is the promises, whose states only the engine can tell.
"""

from __future__ import annotations

import json
from pathlib import Path

from engine.isolate.wire import Seen
from engine.limits import Limits

PRELUDE = Path(__file__).with_name("readout.js").read_text("utf-8")
LIMITS = Limits(console_bytes=16 << 20)
"""Of the event of ``code``."""


def code(seen: Seen) -> str:
    """The event that reads out a session with those variables."""
    names = [variable.name for variable in seen.globals if variable.scope == "lexical"]
    return f"readout$({json.dumps(names)}, [{', '.join(f'() => {name}' for name in names)}])"
