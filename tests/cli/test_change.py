"""``mcp-v8 fork``, ``tag``, ``delete``, ``accept`` and ``checkpoint``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import broken_sessions
import msgspec
import pytest
from server_process import ServerProcess, running
from talking import CTRL_C, talking
from typed import piped


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on a store of its own."""
    with running("--directory-path", str(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture(params=["store", "server"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The options that name a target: a store, or a server."""
    if request.param == "store":
        return ("--directory-path", str(tmp_path / "store"))
    return ("--url", request.getfixturevalue("served").url)


@pytest.fixture
def name(request: pytest.FixtureRequest, where: tuple[str, str]) -> str:
    """A session of two events, named for the test."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:100]
    piped("exec", "let n = 1", "--session", name, *where)
    piped("exec", "n = 2", "--session", name, *where)
    return name


def told(*arguments: str | Path, status: int = 0) -> Any:
    """What a command prints with ``--json``."""
    return msgspec.json.decode(piped(*arguments, "--json", status=status).out)


def test_a_fork_goes_on_from_the_point_that_is_named(where: tuple[str, str], name: str) -> None:
    assert piped("fork", f"{name}@1", f"{name}-past", *where).out == f"{name}-past@2\n"
    assert piped("exec", "n", "--session", f"{name}-past", *where).out == "=> 1\n"
    given = told("fork", name, *where)
    assert given["session"].startswith("s_")
    assert (given["event"], given["forked_from"]) == (3, f"{name}@2")
    assert "no event 9" in piped("fork", f"{name}@9", *where, status=3).err
    assert "there is a session" in piped("fork", name, f"{name}-past", *where, status=1).err


def test_labels_are_set_listed_and_taken_away(where: tuple[str, str], name: str) -> None:
    assert piped("tag", f"{name}@1", "stage=raw", "by=a=b", *where).out == f"{name}@1  by=a=b stage=raw\n"
    piped("tag", name, "stage=clean", *where)
    assert piped("tag", name, *where).out == f"{name}@1  by=a=b stage=raw\n{name}@2  stage=clean\n"
    assert piped("tag", f"{name}@1", "by-", *where).out == f"{name}@1  stage=raw\n"
    assert told("tag", name, *where) == {
        "session": name,
        "tags": {"1": {"stage": "raw"}, "2": {"stage": "clean"}},
    }
    for wrong in ("stage", "-=", "=x", "-"):
        status = 0 if wrong == "-=" else 2
        piped("tag", *where, name, "--", wrong, status=status)


def test_deleting_asks_and_deletes_nothing_where_one_is_not_there(where: tuple[str, str], name: str) -> None:
    alone = piped("delete", name, *where, status=2)
    assert "--yes" in alone.err
    piped("delete", name, "nobody-made-this", "--yes", *where, status=3)
    with talking("delete", name, *where) as talk:
        talk.see(f"{name}  3 events  last used")
        talk.see("Delete 1 session? [y/N]")
        talk.enter("n")
        talk.see("mcp-v8: nothing was done")
        assert talk.end() == 1
    with talking("delete", name, *where) as talk:
        talk.see("[y/N]")
        talk.type(CTRL_C)
        assert talk.end() == 130
    with talking("delete", name, name, *where) as talk:
        talk.see("[y/N]")
        talk.enter("y")
        talk.see(f"deleted {name}")
        assert talk.end() == 0
    piped("delete", name, "--yes", *where, status=3)


def test_a_checkpoint_says_what_it_takes_or_why_there_is_none(where: tuple[str, str], name: str) -> None:
    made = piped("checkpoint", name, *where).out
    assert made.startswith(f"{name}@2 ")
    assert " KiB in " in made
    assert piped("checkpoint", name, *where).out.startswith(f"{name}@2 has one already: ")
    assert told("checkpoint", name, *where)["made"] is False
    piped("exec", "let c = new Intl.Collator()", "--session", name, *where)
    declined = piped("checkpoint", name, *where, status=1)
    assert f"there is no checkpoint of {name}@3: " in declined.err
    assert "live Intl.Collator" in declined.err
    piped("checkpoint", "nobody-made-this", *where, status=3)


@pytest.fixture(params=["store", "server"])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A store of sessions that do not replay, or a server on it."""
    broken_sessions.make_store(tmp_path)
    if request.param == "store":
        yield ("--directory-path", str(tmp_path))
        return
    with running("--directory-path", str(tmp_path)) as server:
        yield ("--url", server.url)


def test_accepting_says_what_is_given_up_and_asks(broken: tuple[str, str]) -> None:
    with talking("accept", "diverged", *broken) as talk:
        talk.see("diverged@2 differs in")
        talk.see("71")
        talk.see("70")
        talk.see("gives up the states diverged@2 to diverged@2")
        talk.see("mcp-v8 fork diverged@1")
        talk.see("Accept the state that the replay of diverged gives? [y/N]")
        talk.enter("n")
        assert talk.end() == 1
    assert "--yes" in piped("accept", "diverged", *broken, status=2).err
    assert piped("accept", "diverged", "--yes", *broken).out == "diverged goes on at diverged@3\n"
    assert piped("exec", "n", "--session", "diverged", *broken).out == "=> 7\n"


def test_what_has_not_diverged_or_cannot_be_accepted_is_told(broken: tuple[str, str]) -> None:
    fine = piped("accept", "drifted", *broken, status=1)
    assert fine.err == "mcp-v8: drifted has not diverged: its log replays as it was recorded\n"
    assert "has not diverged" in piped("accept", "drifted", "--yes", *broken, status=1).err
    failed = piped("accept", "failed", *broken, status=1)
    assert "replaying event 2 ends its process: fork it before that, as failed@1" in failed.err


@pytest.mark.parametrize(
    "command",
    [("fork", "a"), ("tag", "a", "k=v"), ("delete", "a", "--yes"), ("accept", "a"), ("checkpoint", "a")],
    ids=lambda command: command[0],
)
def test_a_store_that_a_server_has_open_is_not_changed_beside_it(
    command: tuple[str, ...], served: ServerProcess
) -> None:
    directory = served.process.args[-1]  # type: ignore[index]
    told = piped(*command, "--directory-path", directory, status=1)
    assert str(served.process.pid) in told.err
    assert "--url" in told.err
