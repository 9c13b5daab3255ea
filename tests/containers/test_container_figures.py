"""How the benchmark of the image reads what engines tell, and reports it; without an engine."""

from __future__ import annotations

import pytest

from benchmarks import container_report
from benchmarks.container import Idle, Layer, Measured, found_engine, parse_size, parse_step
from benchmarks.figures import ROOT_ONLY, Figure, Text


def test_sizes_are_read_as_podman_and_docker_print_them() -> None:
    podman = [parse_size(text) for text in ("0 B", "25.6 kB", "187 MB", "1.02 GB")]
    docker = [parse_size(text) for text in ("0B", "25.6kB", "187MB", "1.02GB")]
    assert podman == docker == [0, 25_600, 187_000_000, 1_020_000_000]
    with pytest.raises(ValueError, match="is no size"):
        parse_size("<missing>")


def test_steps_are_those_of_the_dockerfile() -> None:
    podman = "/bin/sh -c #(nop) COPY dir:b62d0a457eb0f06b57ef820d6c07bdbd in /usr/local "
    assert parse_step(podman) == "COPY /usr/local"
    assert (
        parse_step("RUN /bin/sh -c ldconfig # buildkit")
        == parse_step("/bin/sh -c ldconfig")
        == "RUN ldconfig"
    )


def test_a_machine_without_an_engine_is_a_sentence_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_ENGINE", "no-such-engine")
    assert found_engine() is None
    assert container_report.parts(None) == (Text(container_report.NO_ENGINE),)


def test_the_report_tells_the_base_from_what_is_on_it() -> None:
    found = Measured(
        engine="podman",
        size=329_000_000,
        base=127_000_000,
        layers=[
            Layer(step="COPY /usr/local", size=187_000_000.0),
            Layer(step="RUN ldconfig", size=15_900.0),
            Layer(step="RUN mcp-v8 selftest || echo later", size=2_830_000.0),
        ],
        inside=[1.5, 1.25, 2.0],
        outside=[1.0, 1.0, 1.0],
        idle=Idle(proportional=None, charged=100 << 20),
    )
    sizes = dict(container_report.size_rows(found))
    assert (sizes["all of it"], sizes["without the base"]) == (329.0, 202.0)
    assert (sizes["`COPY /usr/local`"], sizes["`RUN mcp-v8 selftest`"]) == (187.0, 2.83)
    assert "`RUN ldconfig`" not in sizes
    starts = {what: times for what, *times in container_report.start_rows(found)}
    assert starts["`run` to the first answer of `/api/exec`"] == [1.5, 1.25, 2.0]
    assert ROOT_ONLY in container_report.parts(found)
    assert container_report.memory_figures(found)[0] == Figure("PSS of all processes", None, "MiB")
