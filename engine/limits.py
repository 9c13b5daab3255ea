"""What one execution may use, and how a request for more is clamped."""

from __future__ import annotations

import math

from msgspec import UNSET, Struct, UnsetType

MIB = 1 << 20


class Limits(Struct, frozen=True, kw_only=True):
    """Limits in force during one execution; part of its event, so that a replay has the same.

    Units: milliseconds, MiB (2**20 bytes), bytes of UTF-8, characters, counts.
    """

    time_ms: int = 30_000
    """Wall time from the start of the code to its settling; queueing and recovery excluded."""
    heap_mb: int = 128
    """V8's managed heap."""
    offheap_mb: int = 128
    """Memory behind ArrayBuffers, outside V8's heap."""
    console_bytes: int = 1 << 20
    """Console kept, a line as its text and 32 more; what comes after is counted and dropped."""
    result_chars: int = 65_536
    """Text of the result, and of its JSON; longer JSON is left out, longer text is cut."""
    timers: int = 10_000
    """Timers that may be pending at once."""
    clock_reads: int = 100_000
    """Runs in the clock trace (reads that saw the same tick in a row count as one run)."""
    cpu_ms: int | UnsetType = UNSET
    """CPU time, as the kernel counts it for the worker; absent where there was no such limit."""

    @property
    def cpu_seconds(self) -> float:
        """The same in seconds; infinite where there was none."""
        return math.inf if self.cpu_ms is UNSET else self.cpu_ms / 1_000


class LimitPolicy(Struct, frozen=True, kw_only=True):
    """The server's defaults and maxima. A request over the maximum is clamped, not refused."""

    default: Limits = Limits(cpu_ms=300_000)
    max_time_ms: int = 300_000
    max_heap_mb: int = 1_024
    min_heap_mb: int = 16
    max_code_bytes: int = MIB
    max_input_bytes: int = 4 * MIB
    max_queue: int = 64
    """Executions that may wait for one session."""
    max_session_events: int = 1_000_000
    max_owner_sessions: int = 100_000
    """Sessions that an owner may have."""
    max_import_bytes: int = 256 * MIB
    """What the file of a session that is imported may have, unpacked; 0: none is taken."""

    def clamp(self, *, time_ms: int | None = None, heap_mb: int | None = None) -> Limits:
        """The limits in force for a request that asks for ``time_ms`` and ``heap_mb``."""
        d = self.default
        return Limits(
            time_ms=d.time_ms if time_ms is None else max(1, min(time_ms, self.max_time_ms)),
            heap_mb=(d.heap_mb if heap_mb is None else max(self.min_heap_mb, min(heap_mb, self.max_heap_mb))),
            offheap_mb=d.offheap_mb,
            console_bytes=d.console_bytes,
            result_chars=d.result_chars,
            timers=d.timers,
            clock_reads=d.clock_reads,
            cpu_ms=d.cpu_ms,
        )
