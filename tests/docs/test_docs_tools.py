"""docs/tools.md has every tool with every argument, and its examples happen as they are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from documents import FENCE, ROOT, Shown
from mcp import Client
from mcp_types import CallToolResult
from msgspec.structs import fields
from server_process import running
from test_docs_facts import rows_of, words

from transports.mcp.resources import README, TEMPLATES
from transports.mcp.tools import ENTRIES
from transports.request import FIELDS
from transports.rest.docs import documents as rest_documents

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

TOOLS = ROOT / "docs" / "tools.md"
_NOT_AN_ARGUMENT_HERE = "idempotency_key"


def sections() -> Mapping[str, str]:
    """The text about each tool, in order."""
    _, *parts = re.split(r"^### `(\w+)`$", TOOLS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


SECTIONS = sections()


def examples() -> list[tuple[dict[str, Any], str]]:
    """Every call that is shown, with its result."""
    found = []
    for text in SECTIONS.values():
        blocks = FENCE.findall(text)
        for (kind, call), (shown_as, result) in zip(blocks[::2], blocks[1::2], strict=True):
            assert (kind, shown_as) == ("json", "text")
            found.append((json.loads(call), result))
    return found


def test_every_tool_is_there_once_those_that_are_listed_first() -> None:
    assert set(SECTIONS) == {"run_js", *ENTRIES}
    by_default, _, others = TOOLS.read_text().partition("## Listed with `--tools all`")
    for name, entry in ENTRIES.items():
        assert f"### `{name}`" in (by_default if entry.listed else others)


@pytest.mark.parametrize("name", SECTIONS)
def test_every_argument_is_there_and_required_where_it_is(name: str) -> None:
    shown = {words(cells[0])[0]: cells[2] for cells in rows_of(SECTIONS[name], "argument")}
    if name == "run_js":
        assert set(shown) == set(FIELDS) - {_NOT_AN_ARGUMENT_HERE}
        required = {"code"}
    else:
        arguments = fields(ENTRIES[name].arguments)
        assert list(shown) == [one.encode_name for one in arguments]
        required = {one.encode_name for one in arguments if one.required}
    assert {argument for argument, default in shown.items() if default == "required"} == required


def test_every_resource_is_there() -> None:
    shown = {words(cells[0])[0] for cells in rows_of(TOOLS.read_text(), "resource")}
    documents = [README, *rest_documents(None, [])]  # type: ignore[arg-type]
    assert shown == {
        *(one.uri for one in documents),
        *(one.uri_template for one in TEMPLATES),
    }


async def test_the_examples_happen_as_they_are_shown(tmp_path: Path) -> None:
    assert {call["name"] for call, _ in examples()} == set(SECTIONS)
    first: CallToolResult | None = None
    with running("--directory-path", str(tmp_path)) as server, trio.fail_after(60):
        async with Client(f"{server.url}/mcp", mode="legacy") as client:
            for call, result in examples():
                arguments = call["arguments"]
                if "execution_id" in arguments:  # that of the first call
                    assert first is not None
                    assert first.meta is not None
                    arguments = {"execution_id": first.meta["mcp-v8/execution"]["execution_id"]}
                answer = await client.call_tool(call["name"], arguments)
                first = first or answer
                (content,) = answer.content
                told = content.text  # type: ignore[union-attr]
                assert Shown(call["name"], result).matches(told), told
