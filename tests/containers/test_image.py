"""The image: what is in it, what is not, and the ways in which it is started."""

from __future__ import annotations

import json
import subprocess
import tomllib
from typing import Any

import httpx2
import pytest
from container_engine import Containers
from documents import ROOT

pytestmark = pytest.mark.containers

MOST_BYTES = 215_000_000
"""Of the image beyond Debian's own, as the engine tells it: V8 alone is 85 MB."""
STORE = "/tmp/mcp-v8-heaps"
FOLDERS = (STORE, "/tmp/mcp-v8-cache", "/var/cache/mcp-v8")
NO_RIGHTS = ("--cap-drop", "all", "--security-opt", "no-new-privileges")


@pytest.fixture(scope="module")
def config(containers: Containers) -> dict[str, Any]:
    """What ``docker image inspect`` tells."""
    (told,) = json.loads(containers.told("image", "inspect", containers.image))
    return {"Healthcheck": told.get("Healthcheck"), **told["Config"], "Size": told["Size"]}  # Podman, Docker


def inside(containers: Containers, *command: str) -> str:
    """What a command prints, which must succeed, in a container that can write nothing."""
    return containers.told(
        "run",
        "--rm",
        "--read-only",
        *NO_RIGHTS,
        "--name",
        containers.name("inside"),
        containers.image,
        *command,
    )


def python(containers: Containers, code: str) -> str:
    return inside(containers, "python3", "-c", code)


# --- what the image says of itself --------------------------------------------------------------------


def test_the_image_says_who_runs_where_it_listens_and_what_it_is(config: dict[str, Any]) -> None:
    assert config["User"] == "1000"
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8081/tcp"}
    assert config["Entrypoint"] == ["entrypoint"]
    assert config["Healthcheck"]["Test"] == ["CMD", "mcp-v8", "healthcheck"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = {
        name.rpartition(".")[2]: text for name, text in config["Labels"].items() if "opencontainers" in name
    }
    assert (labels["title"], labels["version"]) == (project["name"], project["version"])
    assert labels["description"] == project["description"]
    assert {"revision", "created"} <= set(labels)


def test_the_server_is_told_where_it_is(config: dict[str, Any]) -> None:
    environment = dict(line.split("=", 1) for line in config["Env"])
    assert environment["MCP_V8_BIND_HOST"] == "0.0.0.0"
    assert environment["MCP_V8_ALLOWED_HOSTS"] == "*"
    assert (environment["STATE_DIRECTORY"], environment["CACHE_DIRECTORY"]) == (STORE, "/var/cache/mcp-v8")
    assert environment["PORT"] == "8080"
    assert "MCP_V8_DIRECTORY_PATH" not in environment  # so that a variable chooses another store


def test_the_image_adds_little_to_debian(containers: Containers, config: dict[str, Any]) -> None:
    debian = int(containers.told("image", "inspect", "--format", "{{.Size}}", "debian:bookworm-slim"))
    assert config["Size"] - debian < MOST_BYTES


# --- what is in it ------------------------------------------------------------------------------------


def test_nothing_in_it_builds_or_installs(containers: Containers) -> None:
    programs = "cc gcc c++ make ld as strip pip pip3 uv git curl"
    assert inside(containers, "sh", "-c", f"for p in {programs}; do command -v $p; done; true") == ""
    modules = ["pip", "ensurepip", "idlelib", "tkinter", "turtle", "test", "setuptools"]
    code = f"from importlib.util import find_spec; print([name for name in {modules} if find_spec(name)])"
    assert python(containers, code) == "[]"
    leftovers = (
        r"\( -path /proc -o -path /sys \) -prune -o -type f "
        r"\( -name '*.a' -o -name '*.h' -o -name '*.pyi' -o -name '*.deb' -o -path '*/pip/*' "
        r"-o -path '/var/cache/apt/*' -o -path '/var/lib/apt/lists/*' \) -print"
    )
    found = inside(containers, "sh", "-c", f"find / {leftovers} 2>/dev/null; true").splitlines()
    assert [path for path in found if not path.startswith(("/usr/lib/", "/usr/share/"))] == []  # Debian's own


def test_everything_is_compiled_once_and_never_looked_at_again(containers: Containers) -> None:
    code = """
import pathlib, sys
root = pathlib.Path(sys.prefix, "lib", f"python3.{sys.version_info.minor}")
sources = {p for p in root.rglob("*.py")}
compiled = list(root.rglob("*.pyc"))
print(len(sources - {p.parent.parent / f"{p.name.split('.')[0]}.py" for p in compiled}))
print(len(compiled) - len({p.parent / p.name.split(".")[0] for p in compiled}))
print({p.read_bytes()[4:8] for p in compiled})
"""
    uncompiled, twice, flags = python(containers, code).splitlines()
    assert (uncompiled, twice) == ("0", "0")
    assert flags == "{b'\\x01\\x00\\x00\\x00'}"  # by the hash of the source, which is not checked (PEP 552)


def test_all_that_is_left_out_is_missed_by_no_module_of_the_program(containers: Containers) -> None:
    code = """
import cli, engine, importlib, persistence, pkgutil, transports
for package in (cli, engine, persistence, transports):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
print("imported")
"""
    assert python(containers, code) == "imported"


def test_all_libraries_of_python_find_theirs(containers: Containers) -> None:
    code = "find /usr/local -name '*.so*' -type f -exec ldd {} + | grep -B 20 'not found'; true"
    assert inside(containers, "bash", "-c", code) == ""


def test_boto3_has_s3_and_the_sources_of_credentials(containers: Containers) -> None:
    code = """
import boto3
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-central-1"}
for name in ("s3", "sts", "sso", "sso-oidc", "signin"):
    print(boto3.client(name, **keys).meta.endpoint_url)
print(boto3.client("s3", **keys).generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}))
print(boto3.resource("s3", **keys).Bucket("b").name)
"""
    lines = python(containers, code).splitlines()
    assert lines[:2] == ["https://s3.eu-central-1.amazonaws.com", "https://sts.eu-central-1.amazonaws.com"]
    assert "X-Amz-Signature=" in lines[-2]
    assert lines[-1] == "b"


def test_the_shell_and_the_tools_to_look_around_with_are_there(containers: Containers) -> None:
    shown = containers.told(
        "run", "--rm", "-e", "AWS_REGION=eu-north-1", containers.image, "bash", "-c", "env | grep AWS"
    )
    assert shown == "AWS_REGION=eu-north-1"


def test_volumes_get_folders_that_user_1000_and_group_0_can_write(containers: Containers) -> None:
    for user in ("1000", "12345:0"):
        mounts = [
            word for at, to in enumerate(FOLDERS) for word in ("-v", f"{containers.name(f'v{at}')}:{to}")
        ]
        write = " && ".join(f"touch {folder}/new && rm {folder}/new" for folder in FOLDERS)
        containers.told(
            "run", "--rm", "--read-only", "--user", user, *mounts, containers.image, "sh", "-c", write
        )


# --- how it starts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("--tmpfs", "/tmp"),
        ("--read-only", "--tmpfs", "/tmp"),
        ("--read-only", "-v", "{volume}:" + STORE),
        ("--read-only", "--user", "12345:0", "-v", "{volume}:" + STORE),
    ],
    ids=" ".join,
)
def test_it_needs_to_write_nothing_but_its_store(containers: Containers, options: tuple[str, ...]) -> None:
    volume = containers.name(f"store{len(options)}")
    options = tuple(option.replace("{volume}", volume) for option in options)
    if containers.engine == "podman" and "--read-only" in options:
        options += ("--read-only-tmpfs=false",)  # Docker gives no /tmp on its own
    with containers.running(*NO_RIGHTS, *options) as container:
        ready = httpx2.get(f"{container.url}/readyz").json()
        assert ready["sandbox"]["seccomp"]
        container.execute("let xs = [1, 2]", session="demo")
        assert container.execute("xs", session="demo")["result"] == "[ 1, 2 ]"
        assert container.inside("mcp-v8", "healthcheck").endswith("is ready")
        # the base image was made with the image: for this engine, and not again
        made = container.inside("ls", "/var/cache/mcp-v8").split()
        assert len([name for name in made if name.startswith(f"base-{ready['engine']}-")]) == 1
        assert len([name for name in made if name.startswith("base-")]) == 1


def test_a_root_that_cannot_be_written_and_no_volume_is_told_in_a_sentence(containers: Containers) -> None:
    read_only = ["--read-only"] + ["--read-only-tmpfs=false"] * (containers.engine == "podman")
    ended = containers.ended("run", "--rm", *read_only, containers.image)
    assert ended.returncode == 1
    told = ended.stderr.splitlines()[-1]
    assert told.startswith(
        f"mcp-v8: the store in {STORE} cannot be written (Read-only file system): mount a volume there"
    )


@pytest.mark.parametrize(
    ("options", "command", "port"),
    [
        ((), ("--http-port", "3000"), 3000),
        ((), ("mcp-v8", "--http-port", "3000", "--stateless"), 3000),
        (("-e", "PORT=3001"), (), 3001),
        (("-e", "PORT=3001"), ("--http-port", "3002"), 3002),
        (("-e", "MCP_V8_HTTP_PORT=3003"), (), 3003),
    ],
    ids=str,
)
def test_it_listens_where_it_is_told_and_a_flag_wins(
    containers: Containers, options: tuple[str, ...], command: tuple[str, ...], port: int
) -> None:
    with containers.running(*options, command=command, port=port) as container:
        assert container.execute("1 + 2")["result"] == "3"
        assert container.inside("mcp-v8", "healthcheck").endswith(f":{port} is ready")


def test_without_a_port_it_serves_the_client_on_stdin(containers: Containers) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    name = containers.name("stdio")
    ended = subprocess.run(
        [containers.engine, "run", "-i", "--rm", "--name", name, "-e", "PORT=", containers.image],
        input=f"{json.dumps(hello)}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["result"]["serverInfo"]["name"] == "mcp-v8"


@pytest.mark.parametrize("options", [(), ("--init",)], ids=["as process 1", "under an init"])
def test_sigterm_ends_it_well_with_an_execution_on_its_way(
    containers: Containers, options: tuple[str, ...]
) -> None:
    with containers.running(*options) as container:
        asked = {"code": "await new Promise(r => setTimeout(r, 1500)); 'done'", "session": "s"}
        with httpx2.Client(base_url=container.url, timeout=60) as client:
            begun = client.post("/api/exec", json=asked, headers={"Prefer": "respond-async"})
            assert begun.status_code == 202, begun.text
        container.do("kill", "--signal", "TERM")
        assert container.wait_until_ended() == 0
        assert "SIGTERM: draining" in container.log()
        container.do("start")
        container.wait_until_ready()
        (execution,) = httpx2.get(f"{container.url}/api/sessions/s/events").json()["events"][1:]
        assert execution["status"] == "completed"
