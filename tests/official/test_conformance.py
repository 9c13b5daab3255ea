"""The official conformance suite against our doors, in both eras of the protocol."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from disagreements import DISAGREEMENTS, OF_THE_PRODUCT, RUNS, Run
from msgspec import Struct
from official_tools import OfficialTools
from server_process import ServerProcess

RUN_SECONDS = 120

_FOLDER = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


class Check(Struct, frozen=True):
    """One line of the suite's verdict."""

    scenario: str
    name: str
    status: str
    told: str


def judged(tools: OfficialTools, run: Run, url: str, folder: Path) -> list[Check]:
    """Every check of a run of the suite."""
    command = [*tools.command(run.package, "dist", "index.js"), "server", "--url", url, *run.arguments]
    ended = subprocess.run(
        [*command, "--output-dir", str(folder)],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,  # it is not 0 if any check fails
    )
    found = []
    for path in folder.glob("*/checks.json"):
        scenario = _FOLDER.fullmatch(path.parent.name)
        assert scenario is not None, path
        for check in json.loads(path.read_text()):
            told = check.get("errorMessage") or json.dumps(check.get("details"))
            found.append(Check(scenario[1], check["id"], check["status"], told))
    assert found, ended.stdout + ended.stderr
    return found


@pytest.mark.parametrize("name", RUNS)
def test_the_suite_finds_what_is_listed_and_nothing_else(
    name: str, tools: OfficialTools, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = RUNS[name]
    server: ServerProcess = request.getfixturevalue(run.server)
    checks = judged(tools, run, f"{server.url}/mcp", tmp_path)
    if run.server == "product":
        checks = [check for check in checks if check.scenario in OF_THE_PRODUCT]
    found = {
        (check.scenario, check.name): check for check in checks if check.status in ("FAILURE", "WARNING")
    }
    listed = {(each.scenario, check) for each in DISAGREEMENTS if each.run == name for check in each.checks}
    assert not (found.keys() - listed), [found[key] for key in found.keys() - listed]
    assert not (listed - found.keys()), "these are listed, and pass"
    passed = sum(check.status == "SUCCESS" for check in checks)
    assert passed == run.passed or (run.passed is None and passed)
    assert "Traceback" not in server.log
