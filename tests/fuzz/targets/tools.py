"""Arguments of MCP tools, as the SDK's two decoders give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pydantic_core
import trio
from mcp_types import CallToolResult, TextContent

from engine.errors import EngineError
from engine.events import Caller
from fuzz import jsons
from fuzz.data import Data
from fuzz.stub import StubEngine
from transports.mcp.call import Call
from transports.mcp.text import fault_text, refusal_text
from transports.mcp.tools import ENTRIES
from transports.request import FIELDS, submission

_DECODERS: Final[tuple[Callable[[str], Any], ...]] = (pydantic_core.from_json, json.loads)
_USUAL: Final = {
    "execution_id": '"e_0123456789abcdef"',
    "code": '"1"',
    "session": '"demo@1"',
    "line_offset": "1",
    "byte_offset": '"0"',
    "heap": '"demo@1"',
    "a": '"demo@1"',
    "b": '"demo"',
    "tags": '{"k":"v"}',
    "keys": '"k,l"',
    "after": '"r1.e_a"',
    "status": '"failed"',
}
_CALL: Final = Call(transport="mcp", connection=None, default_session="demo")
_CALLER: Final = Caller(transport="mcp")


def tools(raw: bytes) -> None:
    """Any arguments are a call or a refusal that can be sent."""
    data = Data(raw)
    entry = data.choose((None, *ENTRIES.values()))
    names = (
        FIELDS if entry is None else [field.encode_name for field in msgspec.structs.fields(entry.arguments)]
    )
    fields = []
    for name in names:
        match data.byte() % 4:
            case 0:
                fields.append(f'"{name}":{_USUAL.get(name, "1")}')
            case 1:
                fields.append(f'"{name}":{jsons.text(data)}')
            case _:
                pass
    if data.rarely():
        fields.append(f"{jsons.text(data)}:1")
    try:
        arguments = data.choose(_DECODERS)("{" + ",".join(fields) + "}")
    except (ValueError, RecursionError):
        return
    try:
        if entry is None:
            submission(arguments, _CALLER, owner=_CALL.owner)
        else:
            result = trio.run(entry.call, StubEngine(data), _CALL, _CALLER, arguments)
            jsons.strict(result.model_dump_json(by_alias=True))
    except EngineError as error:
        for told in (fault_text(error), refusal_text(error, "[demo@1]")):
            CallToolResult(content=[TextContent(text=told)], is_error=True).model_dump_json(by_alias=True)
