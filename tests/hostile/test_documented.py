"""The table of attacks in docs/security.md tells of the scripts that there are."""

from __future__ import annotations

import re
from pathlib import Path

from attacks import KINDS

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def test_every_kind_is_listed_with_its_number_of_scripts_and_how_they_may_end() -> None:
    listed = {
        kind: (int(count), set(re.findall(r"`(\w+)`", ends)))
        for kind, count, ends in ROW.findall(SECURITY.read_text())
    }
    assert listed == {
        kind: (len(scripts), {one.status for script in scripts.values() for one in script.outcomes})
        for kind, scripts in KINDS.items()
    }
