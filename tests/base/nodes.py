"""The Node that Node's answers are from."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
GOLDEN: dict[str, Any] = json.loads((HERE / "node_golden.json").read_text("utf-8"))
"""What the Node of the version that it names printed."""


def golden_node() -> str:
    """This machine's Node, if it is of the golden file's version: others may print otherwise. Else skips."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on this machine")
    asked = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30)
    version = asked.stdout.strip()
    if version != GOLDEN["node"]:
        pytest.skip(f"this machine's node is {version}, the golden file is of {GOLDEN['node']}")
    return node
