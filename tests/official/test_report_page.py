"""The page of ``mcp-v8 report`` in a real browser, opened as a file: what its readers see, and what guests cannot do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import made_sessions
import official_tools
import pytest
from made_sessions import executed
from official_tools import HERE, OfficialTools
from server_process import running
from typed import piped

SECONDS = 180
READABLE = 4.5
"""The contrast that WCAG asks for, level AA."""
STEPS = (
    {"code": "let rows = [1, 2] // as they were"},
    {"code": "rows.push(3)\nconsole.warn('three')\nconsole.error('3')\nconsole.debug(3)\nrows"},
    {"code": "const first = rows[0]\n\nfirst.none.nothing"},
    {"code": "for (;;);", "execution_timeout_secs": 0.2},
    {"code": "rows = `${'long '.repeat(2000)}`; console.log(rows); rows"},
)
RUNS = "<script>ran = 1</script><img src=x onerror='ran = 2'>"
HOSTILE = (
    RUNS,
    f"</pre></code></article></main></style>{RUNS}",
    f"</script>{RUNS}<!--<script>",
    f"'\"`>{RUNS}",
    f"]]>{RUNS}&lt;script&gt;ran = 3&lt;/script&gt;",
    "\x00\x1b[2J\x1b]0;title\x07\u202e\u2066\u200f\x9b\ufeff" + RUNS,
    "{{ 7 * 7 }}{% raw %}" + RUNS,
    "x" * 1_000_000 + RUNS,
    "\n" * 100_000 + RUNS,
)


def looked_at(tools: OfficialTools, page: Path) -> dict[str, Any]:
    """What report_page.mjs finds."""
    script = [tools.node, str(HERE / "report_page.mjs"), str(tools.module("playwright-core"))]
    ended = subprocess.run(
        [*script, official_tools.browser(), str(page), str(page.parent)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stderr}\nThe page: {page}"
    told = json.loads(ended.stdout)
    assert isinstance(told, dict)
    return told


@pytest.fixture(scope="module")
def seen(tools: OfficialTools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a session "demo" of STEPS."""
    folder = tmp_path_factory.mktemp("report")
    with (
        running("--directory-path", str(folder / "store")) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        for step in STEPS:
            client.post("/api/exec", json={"session": "demo", **step}).raise_for_status()
        piped("report", "demo", "--url", server.url, "-o", folder / "demo.html")
    return looked_at(tools, folder / "demo.html")


def test_the_page_is_readable_in_light_and_dark(seen: dict[str, Any]) -> None:
    light, dark, switched = seen["light"], seen["dark"], seen["switched"]
    assert sum(light["page"][:3]) > 700 > 100 > sum(light["text"][:3])
    assert sum(dark["page"][:3]) < 100 < 600 < sum(dark["text"][:3])
    assert (switched["page"], switched["text"]) == (dark["page"], dark["text"])
    for one in (light, dark, switched):
        assert one["least"][0] >= READABLE, one["least"]


def test_the_page_asks_for_nothing_and_complains_of_nothing(seen: dict[str, Any]) -> None:
    assert seen["complaints"] == []
    assert seen["ran"] == [None, 1]


def test_the_page_can_be_read_by_structure(seen: dict[str, Any]) -> None:
    assert seen["landmarks"] == {
        "banner": 1,
        "navigation": 1,
        "main": 1,
        "search": 1,
        "contentinfo": 1,
        "nameless": [],
    }
    levels = seen["headings"]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))


def test_the_page_fits_a_phone(seen: dict[str, Any]) -> None:
    assert seen["phone"]["wide"] == seen["phone"]["screen"]


def test_without_scripts_all_is_there_and_can_be_filtered(seen: dict[str, Any]) -> None:
    events = [f"e{number}" for number in range(6)]
    assert seen["scriptless"] == {"before": events, "after": [*events[:3], *events[4:]], "search": False}


def test_the_search_finds_text_in_code(seen: dict[str, Any]) -> None:
    assert seen["searched"] == {"told": "1 of 6", "events": ["e2"], "after": 6}


def test_keys_go_from_event_to_event(seen: dict[str, Any]) -> None:
    # j j k f f f j: down, down, up, the two that did not complete, no further one, down
    assert seen["keys"] == {"at": ["e0", "e1", "e0", "e3", "e4", "e4", "e5"], "toggled": True}


def test_a_mark_of_the_timeline_leads_to_its_event_and_opens_it(seen: dict[str, Any]) -> None:
    assert seen["linked"] == {"url": "#e3", "inView": True}


def test_all_events_are_open_on_paper(seen: dict[str, Any]) -> None:
    assert seen["printed"]["tools"] is False
    assert seen["printed"]["code"]["height"] > 40


def test_nothing_that_a_hostile_session_holds_runs_or_breaks_the_page(
    tools: OfficialTools, tmp_path: Path
) -> None:
    events = [executed("let rows = []\nrows.push(3)")]
    for text in HOSTILE:
        error = {"name": text, "message": text, "line": 1, "column": 1, "frame": text, "stack": text}
        events += [
            executed(text, result=text, console=[("warn", text)], input=json.dumps(text)),
            executed(text, error=error, caller=made_sessions.CALLER),
        ]
    made_sessions.make(tmp_path / "store", "hostile", events)
    page = tmp_path / "hostile.html"
    piped("report", "hostile", "--directory-path", tmp_path / "store", "--no-replay", "-o", page)
    seen = looked_at(tools, page)
    assert seen["complaints"] == []
    assert seen["ran"] == [None, 1]
    assert seen["phone"]["wide"] == seen["phone"]["screen"]
    assert seen["searched"]["told"] == f"1 of {len(events) + 1}"
    assert seen["landmarks"]["contentinfo"] == 1
    assert min(seen[scheme]["least"][0] for scheme in ("light", "dark")) >= READABLE
