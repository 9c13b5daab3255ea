"""Durations and sizes in a few characters."""

from __future__ import annotations

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_UNITS = ("KiB", "MiB", "GiB", "TiB")


def duration(ms: float) -> str:
    """Milliseconds as people say them: ``0.4 ms``, ``12 ms``, ``1.5 s``, ``2 min 5 s``, ``3 h 10 min``."""
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < _SECOND - 0.5:
        return f"{ms:.0f} ms"
    if ms < _MINUTE - 50:
        return f"{ms / _SECOND:.1f} s".replace(".0 s", " s" if ms > 9_950 else ".0 s")
    if round(ms / _SECOND) < 3_600:
        minutes, seconds = divmod(round(ms / _SECOND), 60)
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    if round(ms / _MINUTE) < 24 * 60:
        hours, minutes = divmod(round(ms / _MINUTE), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(ms / _HOUR), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(count: int) -> str:
    """Bytes as people say them: ``512 B``, ``1.5 KiB``, ``20 MiB``."""
    if count < 1_024:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= 1_024
        if value < 1_023.5 or unit == _UNITS[-1]:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 event``, ``1,204 events``."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
