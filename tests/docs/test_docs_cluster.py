"""docs/cluster.md names metrics, settings and sentences that there are. Its commands: tests/containers."""

from __future__ import annotations

import re

from documents import ROOT

from cli.options import SETTINGS
from transports.clustermetrics import ClusterCollector, ClusterNumbers

CLUSTER = ROOT / "docs" / "cluster.md"
ELSEWHERE = {
    "quota-backend-bytes",
    "auto-compaction-mode",
    "auto-compaction-retention",
    "peer-urls",
    "cluster",
}
"""Options of etcd."""
OF_COMMANDS = {"url", "wait", "json", "no-deps"}


class Node:
    """Counts nothing."""

    def numbers(self) -> ClusterNumbers:
        return ClusterNumbers(0, 0, 0, 0.0, False, 0, 0, 0)


def test_every_metric_named_is_one_of_a_node() -> None:
    known = {sample.name for family in ClusterCollector(Node()).collect() for sample in family.samples}
    named = set(re.findall(r"`(mcp_v8_\w+)`", CLUSTER.read_text()))
    assert named
    assert named <= known
    assert {name for name in known if not name.endswith("_created")} == named, "an operator needs them all"


def test_every_option_named_is_a_setting() -> None:
    named = set(re.findall(r"(?<![\w-])--([a-z0-9][a-z0-9-]+)", CLUSTER.read_text()))
    known = {name.replace("_", "-") for name in SETTINGS}
    assert {"cluster-etcd", "node-id", "advertise-addr"} <= named
    assert named - known - ELSEWHERE - OF_COMMANDS == set()


def test_what_a_node_says_that_does_not_start_is_said_by_the_program() -> None:
    table = CLUSTER.read_text().partition("### A node does not start")[2].partition("\n## ")[0]
    told = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)[2:]
    sources = (path.read_text() for path in sorted((ROOT / "cluster").rglob("*.py")))
    source = re.sub(r"{[^}]*}", "", re.sub(r'"\s+f?"', "", " ".join(sources)))
    said = [sentence for sentence in told if "S3" not in sentence]
    assert len(said) == 4
    for sentence in said:
        for part in sentence.split("…"):
            assert part.strip() in source, part
