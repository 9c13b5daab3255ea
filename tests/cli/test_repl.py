"""``mcp-v8 repl`` in a terminal: statements, keys, signals, and copies that are thrown away."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest
from server_process import ServerProcess, running
from talking import CTRL_C, CTRL_D, TAB, UP, Talk, talking
from typed import piped

from cli.repl.keyboard import FILE_NAME

LOOP = "console.log('looping'); for (;;);"
Where = tuple[str, str]
Open = Callable[..., AbstractContextManager[Talk]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on a store of its own."""
    with running("--directory-path", str(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture(params=["store", "server"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """The options that name a target: a store, or a server."""
    if request.param == "store":
        return ("--directory-path", str(tmp_path / "store"))
    return ("--url", request.getfixturevalue("served").url)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A session for the test."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:60].rstrip("-")


@pytest.fixture
def repl(tmp_path: Path) -> Open:
    """Opens a prompt, whose history is of this test."""

    @contextmanager
    def opened(*arguments: str) -> Iterator[Talk]:
        with talking("repl", *arguments, XDG_STATE_HOME=str(tmp_path / "state")) as talk:
            yield talk

    return opened


def test_statements_are_run_and_recorded_and_the_prompt_says_where_it_is(
    repl: Open, where: Where, name: str
) -> None:
    with repl(name, *where) as talk:
        talk.see(f"There is no session {name} yet")
        talk.see(f"{name}> ")
        talk.enter("let xs = [1, 2]; console.log('hi')")
        talk.see("hi\n=> undefined\n")
        talk.see(f"{name}@1> ")
        talk.enter("xs")
        talk.see("=> [ 1, 2 ]\n")
        talk.see(f"{name}@2> ")
        talk.enter("xs.nope()")
        talk.see("TypeError: xs.nope is not a function")
        talk.see("Earlier changes kept.")
        talk.see(f"{name}@3> ")
        talk.type(CTRL_D)
        assert talk.end() == 0
    assert piped("exec", "xs.length", "--session", name, *where).out == "=> 2\n"
    log = piped("log", name, *where).out
    assert [line.split()[0] for line in log.splitlines()] == ["0", "1", "2", "3", "4"]


def test_a_statement_goes_on_until_v8_takes_it_for_a_whole(repl: Open, where: Where, name: str) -> None:
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.enter("function f() {")
        talk.see("... ")
        talk.enter("  return `two")
        talk.see("... ")
        talk.enter("lines`")
        talk.see("... ")
        talk.enter("}")
        talk.see("=> undefined")
        talk.see(f"{name}@1> ")
        talk.enter("f()")
        talk.see("=> 'two\\nlines'")
        talk.enter("let n = (")
        talk.see("... ")
        talk.type(CTRL_C)
        talk.see(f"{name}@2> ")
        talk.enter("n = )")
        talk.see("SyntaxError")
        talk.enter(".exit")
        assert talk.end() == 0


def test_lines_that_are_pasted_are_one_statement(repl: Open, where: Where, name: str) -> None:
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.type("\x1b[200~let n = 1\nn + 1\x1b[201~\r")
        talk.see("=> 2\n")
        talk.see(f"{name}@1> ")
        talk.type(CTRL_D)
        assert talk.end() == 0


def test_names_and_properties_are_completed_without_running_getters(
    repl: Open, where: Where, name: str
) -> None:
    piped(
        "exec",
        "let calls = 0; let account = { balance: 7, get secret() { calls++; return { deep: 1 } } }",
        "--session",
        name,
        *where,
    )
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.type(f"acc{TAB}")
        talk.see("account")
        talk.type(f".bal{TAB}\r")
        talk.see(".balance\n=> 7\n")
        talk.type(f"structuredCl{TAB}")
        talk.see("structuredClone")
        talk.type(CTRL_C)
        talk.see("> ")
        talk.type(f"account.secret.de{TAB}")
        talk.see("account.secret.de")
        talk.see("\x07")  # until then Ctrl-C would end the search for completions alone
        talk.type(CTRL_C)
        talk.see("> ")
        talk.type(f"account.{TAB}{TAB}")
        talk.see("account.balance")
        talk.see("> account.")
        talk.type(CTRL_C)
        talk.see("> ")
        talk.enter("calls")
        talk.see("=> 0\n")
        talk.see("> ")
        talk.type(CTRL_D)
        assert talk.end() == 0


def test_history_is_kept_in_a_file_of_its_user_alone(
    repl: Open, where: Where, name: str, tmp_path: Path
) -> None:
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.enter("'first'")
        talk.see("=> 'first'")
        talk.see("> ")
        talk.enter(" 'of a secret'")
        talk.see("=> 'of a secret'")
        talk.see("> ")
        talk.type(UP)
        talk.see("'first'")
        talk.type("\r")
        talk.see("=> 'first'")
        talk.see("> ")
        talk.type(CTRL_D)
        assert talk.end() == 0
    file = tmp_path / "state" / "mcp-v8" / FILE_NAME
    assert file.read_text() == "'first'\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.type(f"{UP}\r")
        talk.see("=> 'first'")
        talk.see("> ")
        talk.type(CTRL_D)
        assert talk.end() == 0


def test_ctrl_c_stops_what_runs_and_undoes_it(repl: Open, where: Where, name: str) -> None:
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.enter("let n = 1")
        talk.see(f"{name}@1> ")
        talk.enter(f"n = 2; {LOOP}")
        talk.see("looping\n")
        talk.type(CTRL_C)
        talk.see("it is being stopped")
        talk.see("cancelled after")
        talk.see("Call undone.")
        talk.see(f"{name}@2> ")
        talk.enter("n")
        talk.see("=> 1")
        talk.see(f"{name}@3> ")
        talk.type("something half")
        talk.see("something half")
        talk.type(CTRL_C)
        talk.see(f"{name}@3> ")
        talk.enter("n + 1")
        talk.see("=> 2")
        talk.see("> ")
        talk.type(CTRL_D)
        assert talk.end() == 0


def test_sigterm_ends_it_in_order_at_the_prompt_and_while_code_runs(
    repl: Open, where: Where, name: str
) -> None:
    with repl(name, *where) as talk:
        talk.see("> ")
        assert talk.end(signal.SIGTERM) == 143
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.enter("let n = 1")
        talk.see(f"{name}@1> ")
        talk.enter(LOOP)
        talk.see("looping\n")
        assert talk.end(signal.SIGTERM) == 143
        assert "Traceback" not in talk.shown
    assert piped("exec", "n", "--session", name, *where).out == "=> 1\n"


def test_many_lines_are_typed_in_the_editor(repl: Open, where: Where, name: str) -> None:
    with repl(name, *where) as talk:
        talk.see("> ")
        talk.enter(".help")
        talk.see(".editor")
        talk.see("> ")
        talk.enter(".editor")
        talk.see("Ctrl-D runs it")
        for line in ("let a = 1", "if (a) 'one'", "else 'other'"):
            talk.see("... ")
            talk.enter(line)
        talk.see("... ")
        talk.type(CTRL_D)
        talk.see("=> 'one'")
        talk.see(f"{name}@1> ")
        talk.enter(".state")
        talk.see("a = 1\n")
        talk.enter(".log")
        talk.see("completed")
        talk.enter(".nothing")
        talk.see("there is no .nothing here")
        talk.enter(".5 + 1")
        talk.see("=> 1.5")
        talk.see("> ")
        talk.type(CTRL_D)
        assert talk.end() == 0


def test_a_server_that_is_gone_and_comes_back_is_told_of(repl: Open, name: str, tmp_path: Path) -> None:
    with (
        running("--directory-path", str(tmp_path / "store")) as server,
        repl(name, "--url", server.url) as talk,
    ):
        talk.see("> ")
        talk.enter("let n = 1")
        talk.see(f"{name}@1> ")
        talk.enter(LOOP)
        talk.see("looping\n")
        server.process.kill()
        server.wait()
        talk.see("mcp-v8: ")
        talk.see(f"{name}@1> ")
        talk.enter("n")
        talk.see("does not answer")
        talk.see(f"{name}@1> ")
        port = str(server.port)
        with running("--directory-path", str(tmp_path / "store"), "--http-port", port):
            talk.enter("n")
            talk.see("=> 1")
            talk.see("> ")
            talk.type(CTRL_D)
            assert talk.end() == 0


def test_a_second_ctrl_c_leaves_a_server_that_answers_no_more(repl: Open, name: str, tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server, repl(name, "--url", server.url) as talk:
        talk.see("> ")
        talk.enter(LOOP)
        talk.see("looping\n")
        os.kill(server.process.pid, signal.SIGSTOP)
        talk.type(CTRL_C)
        talk.see("it is being stopped")
        talk.type(CTRL_C)
        try:
            assert talk.end() == 130
        finally:
            os.kill(server.process.pid, signal.SIGCONT)


def snapshot(directory: Path) -> dict[str, str]:
    """Every file, and what is in it."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_a_copy_of_a_store_s_past_leaves_the_store_as_it_is(
    repl: Open, tmp_path: Path, *, is_open: bool
) -> None:
    store = tmp_path / "store"
    to = ("--directory-path", str(store))
    for code in ("let n = 1", "n = 2", "n = 3"):
        piped("exec", code, "--session", "demo", *to)

    def talk_with_it() -> None:
        before = snapshot(store)
        with repl("demo@2", *to) as talk:
            talk.see("In a copy of demo@2, which is thrown away at the end")
            talk.see("demo@2> ")
            talk.enter("n")
            talk.see("=> 2\n")
            talk.see("demo@2+1> ")
            talk.enter("n = 'changed'")
            talk.see("demo@2+2> ")
            talk.type(f"struct{TAB}\r")
            talk.see("=> [Function: structuredClone]")
            talk.see("> ")
            talk.type(CTRL_D)
            assert talk.end() == 0
        assert snapshot(store) == before

    if is_open:
        with running("--directory-path", str(store)) as server:
            httpx2.get(f"{server.url}/api/sessions/demo/state")
            talk_with_it()
    else:
        talk_with_it()
    assert piped("exec", "n", "--session", "demo", *to).out == "=> 3\n"


@pytest.mark.parametrize(
    "how", ["ctrl-d", *(pytest.param(how, marks=pytest.mark.torture) for how in ("sigterm", "sighup"))]
)
def test_a_copy_on_a_server_is_deleted_at_the_end(
    repl: Open, served: ServerProcess, name: str, how: str
) -> None:
    to = ("--url", served.url)
    for code in ("let n = 1", "n = 2"):
        piped("exec", code, "--session", name, *to)
    with repl(f"{name}@1", *to) as talk:
        copy = talk.see(". .help says more").rpartition(": ")[2]
        assert copy.startswith("s_")
        talk.see(f"{name}@1> ")
        assert httpx2.get(f"{served.url}/api/sessions/{copy}").status_code == 200
        talk.enter("n++")
        talk.see("=> 1")
        talk.see(f"{name}@1+1> ")
        if how == "ctrl-d":
            talk.type(CTRL_D)
            assert talk.end() == 0
        elif how == "sigterm":
            assert talk.end(signal.SIGTERM) == 143
        else:
            assert talk.end(signal.SIGHUP) == 129
    assert httpx2.get(f"{served.url}/api/sessions/{copy}").status_code == 404
    assert piped("exec", "n", "--session", name, *to).out == "=> 2\n"


def test_what_is_not_there_is_one_sentence_with_3(where: Where, name: str) -> None:
    piped("exec", "1", "--session", name, *where)
    assert "no event 9" in piped("repl", f"{name}@9", *where, status=3).err
    assert "no session nobody-made-this" in piped("repl", "nobody-made-this@1", *where, status=3).err


def test_a_store_that_a_server_has_open_is_not_written_beside_it(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server:
        told = piped("repl", "a", "--directory-path", tmp_path, stdin="1", status=1)
        assert str(server.process.pid) in told.err
        assert "--url" in told.err


def test_statements_from_a_pipe_run_one_by_one_until_one_fails(where: Where, name: str) -> None:
    code = "let a = {\n  b: 1,\n}\n\na\nconsole.log('hi')\nthrow new Error('no')\n'not reached'\n"
    told = piped("repl", name, *where, stdin=code, status=1)
    assert told.out == "=> undefined\n=> { b: 1 }\nhi\n=> undefined\n"
    assert told.err.startswith("Error: no\n")
    going = piped("repl", name, "--keep-going", *where, stdin="throw 1\n'reached'", status=1)
    assert going.out == "=> 'reached'\n"
    unfinished = piped("repl", name, *where, stdin="'fine'\nlet c = {\n", status=1)
    assert unfinished.out == "=> 'fine'\n"
    assert "SyntaxError: Unexpected end of input" in unfinished.err
    assert piped("repl", name, *where, stdin="").out == ""
    lines = piped("repl", name, "--json", *where, stdin="1\n2\n").out.splitlines()
    assert ['"result_json":1' in lines[0], '"result_json":2' in lines[1]] == [True, True]
    assert piped("repl", f"{name}@1", *where, stdin="a.b = 5\na.b").out == "=> 5\n=> 5\n"
    assert piped("repl", name, *where, stdin="a.b").out == "=> 1\n"
