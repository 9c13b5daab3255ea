"""Scripts that come out otherwise after a snapshot, and why: a snapshot cannot keep all that V8 has.

Each is expected to differ; one that does not any more belongs to its kind.
"""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "an error renamed before its stack is read": [
        "const error = new Error('x')",
        "error.name = 'Renamed'; error.stack.split('\\n')[0]",
    ],
    "a variable that was never reached, read again and again": [
        "null.x; let missed = 1",
        "const read = () => { try { return missed } catch (e) { return e.message } }; for (let i = 0; i < 5; i++) read()",
        "Array.from({ length: 8 }, read).join()",
    ],
    "a class that extends WeakRef, with a hot method and a buffer": [
        """let target = { big: new ArrayBuffer(100) }; class Own extends WeakRef {} const own = new Own(target);
            for (let i = 0; i < 50; i++) own.deref()""",
        "own.deref().big.byteLength",
    ],
    "a stack captured on what is no error": [
        "const o = {}; Error.captureStackTrace(o)",
        "o.stack",
    ],
}
WHY = {
    "an error renamed before its stack is read": "a snapshot has the stacks of all errors formatted, with the names "
    "that they have then",
    "a variable that was never reached, read again and again": "V8 says 'is not defined' until the code has run some "
    "times, then 'before initialization'; after a snapshot it counts anew",
    "a class that extends WeakRef, with a hot method and a buffer": "the snapshot cannot be restored: V8 finds something "
    "else where it wrote an object's map; hardly any other program of this form does it",
    "a stack captured on what is no error": "it is not found among the errors and stays unformatted: the snapshot "
    "cannot be restored",
}
