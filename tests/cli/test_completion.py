"""A shell completes what is typed, with the script that ``mcp-v8 completion`` prints."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest
from made_sessions import executed, make
from server_process import COMMAND, running
from typed import environment, piped, run

BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash here")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions "demo", "delta" and "other", the last one of another owner."""
    directory = tmp_path_factory.mktemp("store")
    make(directory, "demo", [executed("1")])
    make(directory, "delta", [executed("1")], at=1)
    make(directory, "other", [executed("1")], owner="ann")
    return directory


def completed(*words: str, status: int = 0, **variables: str) -> list[str]:
    """What bash's function is told for the last of some words."""
    ended = run(
        environment=environment(
            COMP_WORDS=" ".join(("mcp-v8", *words)),
            COMP_CWORD=str(len(words)),
            _MCP_V8_COMPLETE="bash_complete",
            **variables,
        ),
    )
    assert (ended.returncode, ended.stderr) == (status, "")
    return [line.removeprefix("plain,") for line in ended.stdout.split()]


def test_commands_and_options_are_completed() -> None:
    assert completed("lo") == ["log"]
    assert {"serve", "log", "show", "find", "sessions", "completion"} <= set(completed(""))
    assert completed("--http-po") == ["--http-port"]
    assert "--version" in completed("--")
    assert completed("log", "--fo") == ["--follow"]
    assert "timed_out" in completed("log", "demo", "--status", "")
    assert completed("completion", "z") == ["zsh"]


def test_names_of_sessions_are_completed_of_the_target_that_is_typed(store: Path) -> None:
    at = ("--directory-path", str(store))
    assert completed("log", *at, "de") == ["demo", "delta"]
    assert completed("show", *at, "") == ["other", "demo", "delta"]
    assert completed("find", *at, "--session", "o") == ["other"]
    assert completed("state", *at, "--owner", "ann", "") == ["other"]
    assert completed("log", "de", MCP_V8_DIRECTORY_PATH=str(store)) == ["demo", "delta"]
    assert completed("log", *at, "demo@") == []
    with running("--directory-path", str(store)) as server:
        assert completed("log", "--url", server.url, "de") == ["demo", "delta"]
        assert completed("log", *at, "de") == ["demo", "delta"], "beside the server"


def test_what_cannot_be_asked_completes_to_nothing_without_a_word(tmp_path: Path) -> None:
    assert completed("log", "--directory-path", str(tmp_path), "") == []
    assert completed("log", "--url", "http://127.0.0.1:1", "") == []
    assert completed("log", "--url", "no address", "") == []
    (tmp_path / "events.db").write_bytes(b"no database" * 500)
    assert completed("log", "--directory-path", str(tmp_path), "") == []
    golden = Path(__file__).parent.parent / "golden" / "stores" / "store1-events1.db"
    shutil.copy(golden, tmp_path / "events.db")
    assert completed("log", "--directory-path", str(tmp_path), "") == [], "a copy would take too long"


def test_each_shell_gets_its_script() -> None:
    assert "complete -o nosort -F _mcp_v8_completion mcp-v8" in piped("completion", "bash").out
    assert piped("completion", "zsh").out.startswith("#compdef mcp-v8")
    assert "complete --no-files --command mcp-v8" in piped("completion", "fish").out
    assert "'bash', 'zsh', 'fish'" in piped("completion", "tcsh", status=2).err


@needs_bash
def test_the_tab_key_of_a_real_bash_completes(store: Path, tmp_path: Path) -> None:
    assert BASH is not None
    master, slave = pty.openpty()
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        [BASH, "--norc", "-i"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=environment(PATH=path, MCP_V8_DIRECTORY_PATH=str(store), HOME=str(tmp_path), PS1="ready> "),
    )
    os.close(slave)
    seen = ""

    def wait_for(text: str) -> None:
        nonlocal seen
        while text not in seen:
            assert select.select([master], [], [], 60)[0], seen
            seen += os.read(master, 4_096).decode()
        seen = seen.partition(text)[2]

    try:
        os.write(master, b'eval "$(mcp-v8 completion bash)"; echo do""ne\n')
        wait_for("done\r\n")
        os.write(master, b"mcp-v8 sho\t")
        wait_for("show ")
        os.write(master, b"dem\t")
        wait_for("demo ")
        os.write(master, b"--owner local --js\t")
        wait_for("--json ")
        os.write(master, b"\n")
        wait_for('"event": 1')
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_their_scripts(shell: str, tmp_path: Path) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell} here")
    script = tmp_path / "script"
    script.write_text(piped("completion", shell).out)
    subprocess.run([found, "-n", str(script)], check=True, timeout=60)
