"""The JSON object of an execution, whatever JSON its worker gave for the value."""

from __future__ import annotations

import json

import pytest
from mcp_types import CallToolResult

from engine.events import Caller
from engine.execution import Execution, Report
from transports import answer


def over(result_json: str) -> Execution:
    execution = Execution("e_1", "local", caller=Caller(transport="test"), accepted_at=0)
    execution.finish(Report(execution_id="e_1", session="a", status="completed", result_json=result_json))
    return execution


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("text", ["1", '"a"', "[1,[2]]", nested(100), json.dumps([[]] * 1_000)])
def test_json_is_told_as_it_is(text: str) -> None:
    value = json.loads(text)
    assert json.loads(answer.encode(over(text), 0))["result_json"] == value
    assert answer.as_object(over(text), 0)["result_json"] == value


@pytest.mark.parametrize("text", ["", "1 2", "[1", "NaN", "01", '"\x01"', "undefined"])
def test_what_is_no_json_is_left_out(text: str) -> None:
    assert json.loads(answer.encode(over(text), 0))["result_json"] is None


@pytest.mark.parametrize("levels", [300, 900, 100_000])
def test_json_that_is_too_deep_to_be_written_again_is_left_out_of_the_object(levels: int) -> None:
    told = answer.as_object(over(nested(levels)), 0)
    assert told["result_json"] is None
    CallToolResult(content=[], _meta={"execution": told}).model_dump_json()


def test_json_of_several_lines_is_told_on_one() -> None:
    assert b'"result_json":[1, 2]' in answer.encode(over("[1,\r\n 2]\n"), 0)
