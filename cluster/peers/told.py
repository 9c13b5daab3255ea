"""Warnings that would come again with every attempt."""

from __future__ import annotations

import logging
from typing import Final

_KEPT: Final = 256


class ToldOnce:
    """Warns of what is wrong with somebody when it is new."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._told: dict[tuple[str, str], None] = {}

    def warn(self, who: str, sentence: str) -> None:
        """Log it, unless it was before."""
        if (who, sentence) in self._told:
            return
        self._log.warning("%s", sentence)
        self._told[who, sentence] = None
        if len(self._told) > _KEPT:
            del self._told[next(iter(self._told))]

    def well(self, who: str) -> None:
        """Nothing is wrong with them any more."""
        for told in [told for told in self._told if told[0] == who]:
            del self._told[told]
