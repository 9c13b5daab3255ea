"""``mcp-v8 report``: the file that it makes; what a browser shows of it is tests/official/test_report_page.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import broken_sessions
import httpx2
import made_sessions
import pytest
from made_sessions import executed
from server_process import COMMAND, ServerProcess, running
from typed import in_terminal, piped

from persistence.schema import DATABASE_NAME

STEPS = (
    {"code": "let rows = [1, 2]"},
    {"code": "rows.push(3)\nconsole.warn('three')\nrows"},
    {"code": "const first = rows[0]\n\nfirst.none.nothing"},
    {"code": "delete globalThis.rows; rows = []; for (;;);", "execution_timeout_secs": 0.2},
    {"code": "rows = 'gone'"},
)
OWN_TAGS = (
    "main input div label b output button p kbd article a details summary span code time section h2 h3 pre i"
)
GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "stores").glob("*.db"))
MADE = re.compile(r"Made \d{4}-\d\d-\d\d \d\d:\d\d UTC")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[ServerProcess]:
    """A server with a session "demo" of STEPS, which has a label."""
    with running("--directory-path", str(store)) as server:
        with httpx2.Client(base_url=server.url, timeout=60) as client:
            for step in STEPS:
                client.post("/api/exec", json={"session": "demo", **step}).raise_for_status()
            labels = {"event": 2, "tags": {"stage": "pushed"}}
            client.put("/api/sessions/demo/tags", json=labels).raise_for_status()
        yield server


def article(page: str, number: int) -> str:
    """The part of the page on an event."""
    found = re.search(rf'<article id="e{number}" .*?</article>', page, re.DOTALL)
    assert found is not None
    return found[0]


def written(session: str, *arguments: str | Path) -> str:
    """The page, on stdout."""
    return piped("report", session, "-o", "-", *arguments).out


def test_a_server_and_its_store_give_the_same_page(server: ServerProcess, store: Path) -> None:
    online, offline = (written("demo", *of) for of in (("--url", server.url), ("--directory-path", store)))
    assert MADE.sub("", online) == MADE.sub("", offline)
    assert "Replayed: 4/4 agree" in online
    assert re.findall(r'<article id="e(\d+)"', online) == [str(number) for number in range(7)]


def test_each_event_shows_what_it_did_to_the_variables(server: ServerProcess) -> None:
    page = written("demo", "--url", server.url)
    told = re.findall(
        r'<li class="(\w+)">.*?class="name">(\w+)<.*?<div class="values">(.*?)</div>', article(page, 2)
    )
    assert told == [("changed", "rows", "<del>[ 1, 2 ]</del><ins>[ 1, 2, 3 ]</ins>")]
    assert '<li class="added">' in article(page, 1)
    assert "<del>[ 1, 2, 3 ]</del><ins>&#x27;gone&#x27;</ins>" in article(page, 5)


def test_the_failing_line_is_marked_and_what_was_undone_is_told(server: ServerProcess) -> None:
    page = written("demo", "--url", server.url)
    failed = article(page, 3)
    assert 'class="event failed"' in failed
    assert re.findall(r'<span class="l bad">(.*?)\n', failed) == ["first.none.nothing"]
    assert "TypeError: Cannot read properties of undefined (reading &#x27;nothing&#x27;)" in failed
    timed_out = article(page, 4)
    assert "Undone" in timed_out
    assert "Variables" not in timed_out
    assert "stage = pushed" in article(page, 6)


def test_a_part_of_a_session_begins_in_the_state_before_it(server: ServerProcess) -> None:
    page = written("demo", "--url", server.url, "--from", "2", "--to", "3")
    assert re.findall(r'<article id="e(\d+)"', page) == ["2", "3"]
    assert "<del>[ 1, 2 ]</del>" in article(page, 2)
    assert "2 to 3 of 6" in page
    assert "Replayed: 2/2 agree" in page


def test_without_a_replay_there_are_no_variables_and_the_page_says_so(server: ServerProcess) -> None:
    page = written("demo", "--url", server.url, "--no-replay")
    assert "Not replayed" in page
    assert "Variables" not in page
    assert "agrees" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_a_replay_that_differs_is_told_with_what_was_expected(tmp_path: Path) -> None:
    broken_sessions.make_store(tmp_path)
    page = written("diverged", "--directory-path", tmp_path)
    assert "Replayed: 1/2 agree" in page
    assert "The replay differs: result_json" in article(page, 2)
    assert "<pre>71</pre>" in article(page, 2)
    assert "<pre>70</pre>" in article(page, 2)
    drifted = written("drifted", "--directory-path", tmp_path)
    assert "texts of 1 event came out otherwise under this engine" in drifted
    ended = written("failed", "--directory-path", tmp_path)
    assert "event 2 ends every process that replays it" in ended


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_old_stores_have_reports_of_sessions_and_forks_with_all_that_was_recorded(
    golden: Path, tmp_path: Path
) -> None:
    shutil.copy(golden, tmp_path / DATABASE_NAME)
    for session, executions in (("golden", 19), ("branch", 7)):
        page = written(session, "--directory-path", tmp_path)
        assert f"Replayed: {executions}/{executions} agree" in page
        numbers = [int(number) for number in re.findall(r'<article id="e(\d+)"', page)]
        assert numbers == list(range(len(numbers)))
    assert "the session began as a fork" in article(page, 6)


def test_a_report_takes_the_place_of_an_older_one_but_of_nothing_else(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = piped("report", "demo", "--url", server.url)
    size = Path("demo.html").stat().st_size
    assert told.out == f"demo.html: 7 events, {size / 1024:.0f} KiB\n"
    piped("report", "demo", "--url", server.url)
    Path("mine.html").write_text("mine")
    refused = piped("report", "demo", "--url", server.url, "-o", "mine.html", status=2)
    assert refused.err == "mcp-v8: mine.html is there, and no report: give another -o FILE, or --force\n"
    assert Path("mine.html").read_text() == "mine"
    piped("report", "demo", "--url", server.url, "-o", "mine.html", "--force")
    assert Path("mine.html").stat().st_size == size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.html", "mine.html"]


def test_a_report_that_fails_leaves_no_file(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = piped("report", "nobody", "--url", server.url, status=3)
    assert missing.err == "mcp-v8: there is no session nobody\n"
    late = piped("report", "demo", "--url", server.url, "--from", "9", status=2)
    assert late.err == "mcp-v8: demo has no event 9: its last is 6\n"
    nowhere = piped("report", "demo", "--url", server.url, "-o", "no/where.html", status=1)
    assert nowhere.err == "mcp-v8: no/where.html cannot be written: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []


def test_json_says_what_was_made(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    told = json.loads(piped("report", "demo", "--url", server.url, "-o", path, "--json").out)
    assert told["path"] == str(path)
    assert told["bytes"] == path.stat().st_size
    assert (told["first"], told["last"], told["replay"]["agrees"]) == (0, 6, True)
    both = piped("report", "demo", "--url", server.url, "-o", "-", "--json", status=2)
    assert both.err.startswith("mcp-v8: --json and the page cannot both go to stdout")


def test_progress_is_shown_on_a_terminal_and_taken_away(server: ServerProcess, tmp_path: Path) -> None:
    told = in_terminal("report", "demo", "--url", server.url, "-o", tmp_path / "page.html").out
    assert "report of demo: 1/7 events" in told
    assert f"{tmp_path}" in re.split(r"\r *\r", told)[-1].replace("\n", "")


def test_a_session_with_too_many_events_is_refused_with_what_to_ask_for(tmp_path: Path) -> None:
    made_sessions.make(tmp_path, "long", (executed("1") for _ in range(20_000)))
    refused = piped("report", "long", "--directory-path", tmp_path, "--no-replay", "-o", "-", status=2)
    assert refused.err == (
        "mcp-v8: a report has at most 20,000 events, and these are 20,001: choose, as by --from 1 --to 20000\n"
    )


@pytest.mark.torture
def test_a_report_of_as_many_events_as_there_may_be_is_a_page(tmp_path: Path) -> None:
    made_sessions.make(tmp_path, "long", (executed("1") for _ in range(20_000)))
    page = written("long", "--directory-path", tmp_path, "--no-replay", "--from", "1")
    assert page.count("<article ") == 20_000
    assert len(page) < 40_000_000


def test_a_page_of_long_texts_is_bounded_and_says_what_was_cut(tmp_path: Path) -> None:
    text = "x" * 900_000
    events = [executed(f"'{text}'", result=text, console=[("log", text)]) for _ in range(60)]
    made_sessions.make(tmp_path, "wide", events)
    page = written("wide", "--directory-path", tmp_path, "--no-replay")
    assert len(page) < 20_000_000
    assert "… 880,002 characters more: <code>mcp-v8 show wide@1</code>" in article(page, 1)
    assert article(page, 60).count("characters more") == 3


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "\x1b[2J\x00\u202e\u2066", "<!--", "]]>", "&lt;"]
)
def test_nothing_of_a_session_is_markup_or_hidden(tmp_path: Path, text: str) -> None:
    failed = {"name": text, "message": text, "line": 1, "column": 1, "frame": text, "stack": text}
    made_sessions.make(
        tmp_path,
        "hostile",
        [executed(text, result=text, console=[("error", text)]), executed(text, error=failed)],
    )
    page = written("hostile", "--directory-path", tmp_path, "--no-replay")
    body = page[page.index("<main") : page.index("</main>")]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    tags = set(re.findall(r"</?([^\s>]*)", body))
    assert tags <= set(OWN_TAGS.split()), tags


def test_that_nobody_reads_it_any_more_is_no_error(server: ServerProcess) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [COMMAND, "report", "demo", "--url", server.url, "-o", "-"],
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")
