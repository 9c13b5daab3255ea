"""The peers that the benchmarks compare with: what they are sent, what is said of them, and of absent ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.figures import Text
from benchmarks.peers.catalogue import DURABLE, KERNELS, NODE, NOOP, PEERS, Missing, version
from benchmarks.peers.compared import Measured, Sample, bodies
from benchmarks.peers_report import parts, row
from benchmarks.snippets import SNIPPETS

FOUND = Measured(
    seconds=1,
    rounds=2,
    samples={
        (NOOP, 1): [Sample(per_second=rate, p50=1, p99=2, cpu=0.5) for rate in (900, 1_500)],
        (DURABLE, 1): [Sample(per_second=rate, p50=1.5, p99=4, cpu=1.2) for rate in (450, 500)],
    },
    versions={NOOP: "", DURABLE: "0.1.0"},
    missing={KERNELS: "no module ipykernel"},
)


def test_each_client_has_a_session_of_its_own_and_repeats_every_snippet_in_it() -> None:
    sent = bodies(DURABLE, clients=3)
    assert [body["session"] for body in sent[1::3]] == ["peer-1"] * len(SNIPPETS)
    assert [body["code"] for body in sent[1::3]] == [snippet.javascript for snippet in SNIPPETS]


def test_a_peer_without_sessions_is_sent_none_and_one_in_python_gets_python() -> None:
    assert all(body.keys() == {"code"} for body in bodies(NODE, clients=2))
    assert [body["code"] for body in bodies(KERNELS, clients=1)] == [one.python for one in SNIPPETS]


def test_a_rate_is_shown_relative_to_this_servers_of_the_same_round() -> None:
    assert row(FOUND, NOOP, 1) == (NOOP.name, 1, 1_200, 2.5, 1, 2, 0.5)


def test_the_section_says_why_a_peer_was_not_measured() -> None:
    assert Text(f"Not measured, {KERNELS.name}: no module ipykernel.") in parts(FOUND)


def test_every_peer_has_a_name_of_its_own() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)


def test_the_files_that_peers_run_are_there() -> None:
    files = [Path(part) for peer in PEERS for part in peer.command if part.endswith(".mjs")]
    assert len(files) == 2
    assert all(file.is_file() for file in files)


def test_a_version_is_what_the_probe_prints_and_a_failed_probe_says_why() -> None:
    assert version(replace(NODE, probe=("echo", "thing v3.14.15 (stable)"))) == "3.14.15"
    assert version(replace(NODE, probe=("true",))) == ""
    with pytest.raises(Missing, match="no such-program-as-this"):
        version(replace(NODE, probe=("such-program-as-this",)))
    with pytest.raises(Missing, match="Error: not there"):
        version(replace(NODE, probe=("sh", "-c", "echo Error: not there >&2; false")))
