"""``mcp-v8 show``: one event in full."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from server_process import ServerProcess, running
from typed import COLOUR, Ended, in_terminal, piped

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
STEPS = (
    {"code": "const rows = [{ id: 1 }]\nfunction get(n) {\n  return rows[n].id // fails\n}"},
    {"code": "console.log('two', 2);\nconsole.warn('careful\\nagain');\nget(7)"},
    {"code": "const total = input.a + 1\n\n// 日本\nnull.x", "input": {"a": 1}},
    {
        "code": "[Date.now(), Date.now(), Math.random()]; setTimeout(() => {}, 5); setTimeout(() => {}, 5); 'later'"
    },
    {"code": "let n = 0; for (;;) n++", "execution_timeout_secs": 0.2},
    {"code": f"console.error({HOSTILE!r}.repeat(3)); throw new Error({HOSTILE!r})"},
    {"code": "this is no JavaScript"},
)


class World(msgspec.Struct):
    """A server and its store."""

    server: ServerProcess
    directory: Path
    executions: list[str]

    def show(self, *arguments: str, status: int = 0, **variables: str) -> Ended:
        """What is shown, whichever way it is asked."""
        online = piped("show", *arguments, "--url", self.server.url, status=status, **variables)
        offline = piped("show", *arguments, "--directory-path", self.directory, status=status, **variables)
        without_age = [
            re.sub(r", \S+ \S+ ago$|, now$", "", told.out, flags=re.MULTILINE) for told in (online, offline)
        ]
        assert without_age[0] == without_age[1]
        return offline


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server with a session "demo" of STEPS, and a fork of it."""
    directory = tmp_path_factory.mktemp("store")
    with (
        running("--directory-path", str(directory)) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        headers = {"user-agent": "agent/1.2", "idempotency-key": "key-1"}
        executions = []
        for step in STEPS:
            answer = client.post("/api/exec", json={"session": "demo", **step}, headers=headers)
            executions.append(answer.json()["execution_id"])
            headers.pop("idempotency-key", None)
        client.put("/api/sessions/demo/tags", json={"event": 2, "tags": {"stage": "raw", "checked": ""}})
        client.post("/api/sessions/demo/fork", json={"event": 2, "name": "branch"})
        yield World(server, directory, executions)


def section(told: Ended, title: str) -> list[str]:
    """The lines below a title."""
    lines = told.lines
    start = lines.index(title) + 1
    end = next(
        (at for at in range(start, len(lines)) if not lines[at].startswith(" ") and lines[at] == ""),
        len(lines),
    )
    return lines[start:end]


def field(told: Ended, name: str) -> str:
    """The value behind a name."""
    return next(line.split(maxsplit=1)[1] for line in told.lines if line.split()[:1] == [name])


def test_an_event_is_shown_with_code_console_error_and_where_it_is(world: World) -> None:
    told = world.show("demo@2")
    assert told.lines[0] == "demo@2  failed"
    assert field(told, "caller") == "agent 1.2, over rest"
    assert re.fullmatch(r".+ ms, .+ ms of a processor; it had waited for .+ ms", field(told, "took"))
    assert field(told, "labels") == "checked stage=raw"
    assert section(told, "Code") == [
        "    1 | console.log('two', 2);",
        "    2 | console.warn('careful\\nagain');",
        "    3 | get(7)",
    ]
    assert section(told, "Console") == ["  log    two 2", "  warn   careful", "  warn   again"]
    assert section(told, "Error")[0] == "  TypeError: Cannot read properties of undefined (reading 'id')"
    assert "  > 3 |   return rows[n].id // fails" in section(told, "Error"), "which is in the code of event 1"
    event = httpx2.get(f"{world.server.url}/api/sessions/demo/events/2").json()
    assert field(told, "heap") == event["id"]
    assert field(told, "execution") == world.executions[1] == event["execution_id"]
    for name in ("prev", "digest", "engine"):
        assert event["details"][name] in told.out


def test_the_line_of_the_code_that_failed_is_marked_in_it(world: World) -> None:
    told = world.show("demo@3")
    assert section(told, "Code") == [
        "    1 | const total = input.a + 1",
        "    2 |",
        "    3 | // 日本",
        "  > 4 | null.x",
        "      |      ^",
    ]
    assert section(told, "Input") == ['  {"a":1}']
    assert "> 4" not in "\n".join(section(told, "Error"))


def test_code_that_is_none_is_marked_too(world: World) -> None:
    code = section(world.show("demo@7"), "Code")
    assert code[0] == "  > 1 | this is no JavaScript"
    assert code[1].endswith("^")


def test_what_came_from_outside_is_shown(world: World) -> None:
    told = world.show("demo@4")
    trace = httpx2.get(f"{world.server.url}/api/sessions/demo/events/4").json()["details"]["trace"]
    assert re.search(r", \d+ reads: \+", field(told, "clock"))
    assert int(re.search(r"(\d+) read", field(told, "clock"))[1]) == trace["clock_reads"] > 1  # type: ignore[index]
    assert field(told, "random") == f"seed {trace['seed']}"
    assert trace["timers_after"] == [1, 2]
    assert field(told, "timers") == "1, 2 after"
    assert section(told, "Result") == ["  'later'"]


def test_what_was_stopped_says_that_it_is_undone_and_names_no_state(world: World) -> None:
    told = world.show("demo@5")
    assert told.lines[0] == "demo@5  timed_out"
    assert section(told, "Error") == [
        "  TimedOut: timed out after 0.2 s",
        "  Undone: the state is as it was before.",
    ]
    assert "heap" not in [line.split()[0] for line in section(told, "Ids")]
    assert field(told, "limits").startswith("200 ms, ")


def test_events_that_are_no_executions_are_shown(world: World) -> None:
    created = world.show("demo@0")
    assert created.lines[0] == "demo@0  created"
    assert field(created, "before") == "0" * 64
    forked = world.show("branch")
    assert forked.lines[0] == "branch@3  forked"
    assert field(forked, "what") == "from event 2"
    assert field(forked, "parent") == field(created, "session")
    tagged = world.show("demo")
    assert tagged.lines[0] == "demo@8  tagged"
    assert field(tagged, "what") == "@2 stage=raw checked"


def test_an_execution_id_names_its_event(world: World) -> None:
    assert section(world.show(world.executions[0]), "Ids") == section(world.show("demo@1"), "Ids")
    assert field(world.show("demo@1"), "key") == "key-1"


def test_json_is_what_the_server_answers(world: World) -> None:
    answer = httpx2.get(f"{world.server.url}/api/sessions/demo/events/4").json()
    assert msgspec.json.decode(world.show("demo@4", "--json").out) == answer


def test_nothing_of_a_hostile_session_steers_the_terminal(world: World) -> None:
    for columns in (40, 80):
        told = in_terminal("show", "demo@6", "--directory-path", world.directory, columns=columns)
        plain = COLOUR.sub("", told.out)
        assert not set(plain) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160), 0x202E]))
        assert "␛]0;owned␇" in plain
        assert "\x1b[31m" in told.out


def test_code_is_highlighted_on_a_terminal_alone(world: World) -> None:
    shown = in_terminal("show", "demo@1", "--directory-path", world.directory)
    assert "\x1b[35mconst\x1b[0m" in shown.out
    assert "\x1b" not in piped("show", "demo@1", "--directory-path", world.directory).out


@pytest.mark.parametrize(
    ("argument", "status", "told"),
    [
        ("demo@99", 3, "session demo has no event 99"),
        ("nosuch@1", 3, "there is no session nosuch"),
        ("e_0000000000000000", 3, "there is no execution 'e_0000000000000000'"),
        ("de mo", 2, "session"),
    ],
)
def test_what_is_not_there_is_one_sentence(world: World, argument: str, status: int, told: str) -> None:
    assert told in world.show(argument, status=status).err


def test_an_execution_that_is_not_over_and_one_without_sessions_are_shown_as_far_as_they_go(
    world: World,
) -> None:
    with httpx2.Client(base_url=world.server.url, timeout=60) as client:
        asked = client.post(
            "/api/exec", json={"code": "for (;;);"}, headers={"prefer": "respond-async"}
        ).json()
        told = piped("show", asked["execution_id"], "--url", world.server.url)
        client.post(f"/api/executions/{asked['execution_id']}/cancel")
    assert told.lines[0] == f"{asked['execution_id']}  running"
    with running("--stateless") as server:
        code = "console.log('seen'); null.x"
        asked = httpx2.post(f"{server.url}/api/exec", json={"code": code}, timeout=60).json()
        told = piped("show", asked["execution_id"], "--url", server.url)
    assert told.lines[0].endswith("  failed")
    assert section(told, "Console") == ["  seen"]
    assert "  > 1 | console.log('seen'); null.x" in section(told, "Error")
