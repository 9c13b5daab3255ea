"""What a command does with a store."""

from __future__ import annotations

from typing import Literal

Use = Literal["look", "revisit", "write", "play"]
"""To ``look`` alters nothing. To ``revisit`` is to look at the past of a session again and again: there are
checkpoints of it in memory then. To ``write`` is to own the store. To ``play`` is to write to one that nobody
needs afterwards.
"""
