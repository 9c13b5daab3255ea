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

from benchmarks.processes import COMMAND
from cli.options import SETTINGS, variable

FILES = sorted(ROOT.glob("docker-compose.*.yml"))
STATEFUL, STATELESS = (ROOT / f"docker-compose.single-{kind}.yml" for kind in ("stateful", "stateless"))
EXAMPLE = ROOT / "deploy" / "env.example"

WITH_DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")
SHOWN = re.compile(r"^#([A-Z]\w*)=(.*)$", re.MULTILINE)
OURS = re.compile(r"\bMCP_V8_\w+")


def service(file: Path) -> dict[str, Any]:
    """The only service of the file."""
    (only,) = yaml.safe_load(file.read_text())["services"].values()
    return dict(only)


def checked(file: Path) -> subprocess.CompletedProcess[str]:
    """What the schema of the compose specification says of the file."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)


of_each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


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
def test_the_container_gets_no_right_and_no_room_that_it_does_not_need(file: Path) -> None:
    of_it = service(file)
    assert of_it["read_only"] is True
    assert of_it["cap_drop"] == ["ALL"]
    assert of_it["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "user", "network_mode", "pid", "ipc", "devices"} & set(of_it)
    assert {"mem_limit", "cpus", "pids_limit"} <= set(of_it)
    assert all("size=" in mount and "noexec" in mount for mount in of_it["tmpfs"])
    assert set(of_it["logging"]["options"]) == {"max-size", "max-file"}
    assert of_it["restart"] == "unless-stopped"


@of_each_file
def test_its_port_is_published_to_this_machine_alone_unless_another_address_is_chosen(file: Path) -> None:
    assert service(file)["ports"] == ["${PUBLISH_ADDRESS:-127.0.0.1}:${PUBLISH_PORT:-8080}:8080"]


def test_the_files_differ_only_in_what_is_kept() -> None:
    stateful, stateless = service(STATEFUL), service(STATELESS)
    assert stateful.pop("volumes") == ["data:/tmp/mcp-v8-heaps"]
    assert stateless.pop("command") == ["--stateless"]
    assert stateful == stateless


def test_one_does_not_take_the_place_of_the_other() -> None:
    assert len({yaml.safe_load(file.read_text())["name"] for file in FILES}) == len(FILES)


@pytest.mark.parametrize("file", [*FILES, EXAMPLE], ids=lambda file: file.name)
def test_every_variable_of_the_program_that_is_named_is_a_setting(file: Path) -> None:
    named = set(OURS.findall(file.read_text()))
    assert named
    assert named <= {variable(name) for name in SETTINGS}


@of_each_file
def test_the_example_shows_each_variable_of_the_file_with_its_default(file: Path) -> None:
    defaults = dict(WITH_DEFAULT.findall(file.read_text()))
    assert "PUBLISH_PORT" in defaults
    shown = dict(SHOWN.findall(EXAMPLE.read_text()))
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


def test_nothing_in_the_example_holds_before_a_hash_is_taken_away() -> None:
    assert [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")] == []
