"""The compose files at the root: what can be said of them without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import ROOT
from shown_docker import IMAGE

from benchmarks.processes import COMMAND
from cli.options import SETTINGS, variable

FILES = sorted(ROOT.glob("docker-compose.*.yml"))
SINGLE = STATEFUL, STATELESS = [
    ROOT / f"docker-compose.single-{kind}.yml" for kind in ("stateful", "stateless")
]
CLUSTERS = CLUSTER_STATEFUL, CLUSTER_STATELESS = [
    ROOT / f"docker-compose.cluster-{kind}.yml" for kind in ("stateful", "stateless")
]
EXAMPLE, CLUSTER_EXAMPLE = ROOT / "deploy" / "env.example", ROOT / "deploy" / "cluster.env.example"
EXAMPLES = {**dict.fromkeys(SINGLE, EXAMPLE), **dict.fromkeys(CLUSTERS, CLUSTER_EXAMPLE)}
NODES, MEMBERS = ([f"{kind}-{n}" for n in (1, 2, 3)] for kind in ("node", "etcd"))
OF_COMMANDS = {"MCP_V8_URL"}
"""Variables of commands, which are no settings of a server."""
LEAST_ETCD = (3, 5, 16)

WITH_DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")
SHOWN = re.compile(r"^#([A-Z]\w*)=(.*)$", re.MULTILINE)
OURS = re.compile(r"\bMCP_V8_\w+")


def services(file: Path) -> dict[str, dict[str, Any]]:
    """Those of the file by their names."""
    return dict(yaml.safe_load(file.read_text())["services"])


def service(file: Path) -> dict[str, Any]:
    """The only service of the file."""
    (only,) = services(file).values()
    return only


def checked(file: Path) -> subprocess.CompletedProcess[str]:
    """What the schema of the compose specification says of the file."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)


of_each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
of_each_single = pytest.mark.parametrize("file", SINGLE, ids=lambda file: file.name)
of_each_cluster = pytest.mark.parametrize("file", CLUSTERS, ids=lambda file: file.name)


def test_these_are_all() -> None:
    assert set(FILES) == {*SINGLE, *CLUSTERS}


@of_each_file
def test_the_file_is_what_the_compose_specification_allows(file: Path) -> None:
    ended = checked(file)
    assert ended.returncode == 0, ended.stdout


def test_a_key_that_the_compose_specification_does_not_know_would_be_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yml"
    wrong.write_text(STATEFUL.read_text().replace("read_only:", "readonly:"))
    ended = checked(wrong)
    assert ended.returncode == 1
    assert "'readonly' was unexpected" in ended.stdout


@of_each_file
def test_no_container_gets_a_right_or_room_that_it_does_not_need(file: Path) -> None:
    for name, of_it in services(file).items():
        assert of_it["read_only"] is True, name
        assert of_it["cap_drop"] == ["ALL"]
        assert of_it["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(of_it)
        assert {"mem_limit", "pids_limit", "stop_grace_period"} <= set(of_it)
        assert all("size=" in mount and "noexec" in mount for mount in of_it.get("tmpfs", ()))
        assert set(of_it["logging"]["options"]) == {"max-size", "max-file"}
        assert of_it["restart"] == "unless-stopped"
        if of_it["image"] == IMAGE:
            assert "cpus" in of_it
            assert "user" not in of_it


@of_each_file
def test_one_port_is_published_to_this_machine_alone_unless_another_address_is_chosen(file: Path) -> None:
    published = [port for of_it in services(file).values() for port in of_it.get("ports", ())]
    assert published == ["${PUBLISH_ADDRESS:-127.0.0.1}:${PUBLISH_PORT:-8080}:8080"]


def test_the_files_differ_only_in_what_is_kept() -> None:
    stateful, stateless = service(STATEFUL), service(STATELESS)
    assert stateful.pop("volumes") == ["data:/tmp/mcp-v8-heaps"]
    assert stateless.pop("command") == ["--stateless"]
    assert stateful == stateless


def test_one_does_not_take_the_place_of_the_other() -> None:
    assert len({yaml.safe_load(file.read_text())["name"] for file in FILES}) == len(FILES)


def test_the_files_of_clusters_differ_only_in_what_is_kept() -> None:
    stateful, stateless = services(CLUSTER_STATEFUL), services(CLUSTER_STATELESS)
    assert "s3" in stateful
    del stateful["s3"]
    kept = re.compile("AWS_.*|MCP_V8_S3_BUCKET|MCP_V8_CACHE_DIR")
    for name in NODES:
        assert stateful[name].pop("volumes") == [f"{name}:/tmp/mcp-v8-cache"]
        assert stateless[name].pop("command") == ["--stateless"]
        environment = stateful[name]["environment"]
        stateful[name]["environment"] = {
            key: value for key, value in environment.items() if not kept.fullmatch(key)
        }
    assert stateful == stateless


@of_each_cluster
def test_nodes_and_members_differ_in_their_names_alone(file: Path) -> None:
    for names in (NODES, MEMBERS):
        first, *others = (
            yaml.safe_dump(services(file)[name]).replace(name, "NAME").replace("NAME=http", f"{name}=http")
            for name in names
        )
        listed = re.compile("ETCD_INITIAL_CLUSTER: .*(\n    .*)?|MCP_V8_CLUSTER_ETCD: .*(\n    .*)?")
        assert {listed.sub("", other) for other in others} == {listed.sub("", first)}


@of_each_cluster
def test_etcd_is_of_a_version_whose_leases_can_be_trusted_and_has_a_quota(file: Path) -> None:
    for name in MEMBERS:
        of_it = services(file)[name]
        version = tuple(map(int, of_it["image"].rpartition(":v")[2].split(".")))
        assert version >= LEAST_ETCD
        assert of_it["environment"]["ETCD_AUTO_COMPACTION_RETENTION"]
        assert "ETCD_QUOTA_BACKEND_BYTES" in of_it["environment"]


@of_each_cluster
def test_nobody_but_the_nodes_has_a_way_to_etcd_and_s3_and_nobody_but_the_balancer_to_the_nodes(
    file: Path,
) -> None:
    networks = {name: set(of_it["networks"]) for name, of_it in services(file).items()}
    assert {name for name, of_it in networks.items() if "outer" in of_it} == {"balancer", *NODES}
    assert networks["balancer"] == {"outer"}


@of_each_cluster
def test_the_balancer_knows_each_node(file: Path) -> None:
    (mount,) = services(file)["balancer"]["volumes"]
    text = (ROOT / mount.partition(":")[0]).read_text()
    for backend in ("ready", "living"):
        part = text.partition(f"\nbackend {backend}\n")[2].partition("\nbackend ")[0]
        assert re.findall(r"^    server (\S+) (\S+)$", part, re.MULTILINE) == [
            (name, f"{name}:8080") for name in NODES
        ]


@of_each_cluster
def test_the_command_in_its_head_makes_the_secret_that_it_names(file: Path, tmp_path: Path) -> None:
    (command,) = re.findall(r"^#   (head .*)$", file.read_text(), re.MULTILINE)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, timeout=60, check=True)
    (made,) = tmp_path.iterdir()
    assert len(made.read_text().strip()) == 44
    secrets = yaml.safe_load(file.read_text())["secrets"]
    assert secrets["cluster"]["file"] == f"${{CLUSTER_SECRET_FILE:-{made.name}}}"


@pytest.mark.parametrize("file", [*FILES, EXAMPLE, CLUSTER_EXAMPLE], ids=lambda file: file.name)
def test_every_variable_of_the_program_that_is_named_is_a_setting(file: Path) -> None:
    named = set(OURS.findall(file.read_text())) - OF_COMMANDS
    assert named
    assert named <= {variable(name) for name in SETTINGS}


@of_each_file
def test_the_example_shows_each_variable_of_the_file_with_its_default(file: Path) -> None:
    defaults = dict(WITH_DEFAULT.findall(file.read_text()))
    assert "PUBLISH_PORT" in defaults
    shown = dict(SHOWN.findall(EXAMPLES[file].read_text()))
    assert {name: shown.get(name) for name in defaults} == defaults
    assert not [name for name in defaults if OURS.fullmatch(name)], (
        "a setting's name, which the server has too"
    )


def test_the_example_shows_the_defaults_of_the_settings_that_have_one() -> None:
    shown = dict(SHOWN.findall(EXAMPLE.read_text()))
    of_settings = {name: setting.default for name, setting in SETTINGS.items() if variable(name) in shown}
    with_default = {
        name: default
        for name, default in of_settings.items()
        if isinstance(default, int | float | str) and default != ""
    }
    assert len(with_default) > 10
    assert {
        name: type(default)(shown[variable(name)]) for name, default in with_default.items()
    } == with_default


def test_all_of_the_example_together_is_taken_by_the_server(tmp_path: Path) -> None:
    shown = dict(SHOWN.findall(EXAMPLE.read_text()))
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-at-least-16-characters alice\n")
    of_it = {**shown, "MCP_V8_TOKENS": str(tokens), "PORT": "8080"}
    command = [COMMAND, "config", "--json"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **of_it}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    chosen = {name for name, setting in json.loads(ended.stdout).items() if setting["from"] != "default"}
    assert chosen >= {name for name in SETTINGS if variable(name) in shown}


@pytest.mark.parametrize("example", [EXAMPLE, CLUSTER_EXAMPLE], ids=lambda file: file.name)
def test_nothing_in_an_example_holds_before_a_hash_is_taken_away(example: Path) -> None:
    assert [line for line in example.read_text().splitlines() if line and not line.startswith("#")] == []
