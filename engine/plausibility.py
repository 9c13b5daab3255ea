"""Whether what is said of an execution can be so: by a worker whose code may have got hold of it, or in a
file from elsewhere. Pure.
"""

from __future__ import annotations

from engine.events import ErrorDetail, Outcome, Trace
from engine.limits import MIB, Limits

_MAX_COUNT = 1 << 53
_MAX_FRAME_CHARS = 2_000
"""Three pieces of lines, and a mark: see ``engine.isolate.codeframe``."""
_MAX_FIRED = 100_000
"""Timers of one execution: see ``control.js``."""


def is_plausible(trace: Trace, outcome: Outcome, duration_us: int, limits: Limits) -> bool:
    """Whether code that keeps the limits can have come to this."""
    error = outcome.error
    texts = (
        outcome.result,
        outcome.result_json,
        outcome.result_json_omitted or None,
        *((error.name, error.message, error.stack) if error else ()),
    )
    counts = (duration_us, outcome.pending_timers, outcome.console_dropped)
    fired = (*trace.timers_before, *trace.timers_after)
    return (
        (outcome.status == "failed") == (error is not None)
        and (error is None or (not error.undone and is_plausible_error(error)))
        and all(0 <= number < _MAX_COUNT for number in (*counts, *trace.clock, *fired))
        and len(trace.clock) <= 2 * limits.clock_reads
        and len(fired) <= _MAX_FIRED
        and sum(len(text) for text in texts if text is not None) <= 8 * limits.result_chars + MIB
    )


def is_plausible_error(error: ErrorDetail) -> bool:
    """Whether it can be of a place in code."""
    return (
        all(number is None or 0 <= number < _MAX_COUNT for number in (error.line, error.column))
        and len(error.frame or "") <= _MAX_FRAME_CHARS
    )
