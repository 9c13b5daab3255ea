"""Places in the scripts that V8 runs, as places in the code."""

from __future__ import annotations

import pytest

from engine.isolate.isolate import BASE_SCRIPT, Location
from engine.isolate.script import Script

CODE = "first()\nconst { a, list: [b] } = second()\nlast()"


def at(line: int, column: int, script: str = "exec-3.js", source: str = "") -> Location:
    return Location(script, line, column, source)


@pytest.mark.parametrize("code", ["{a: 1}", " \n{a: 1}.a", "{}"])
def test_what_looks_like_an_object_is_an_expression_on_the_same_lines(code: str) -> None:
    assert Script(3, code).expression == f"({code}\n)\n//# sourceURL=exec-3.js"


@pytest.mark.parametrize("code", ["a = {}", "{ f(); }; ", "[{}]"])
def test_other_code_is_none(code: str) -> None:
    assert Script(3, code).expression is None


def test_places_in_an_expression_count_without_its_parenthesis() -> None:
    script = Script(3, "{a:\n1}")
    assert script.place_in_expression(at(1, 3)) == at(1, 2)
    assert script.place_in_expression(at(2, 3)) == at(2, 3)
    assert script.place_in_expression(at(3, 1)) is None
    stack = "Error\n    at exec-3.js:1:12\n    at f (exec-3.js:2:5)\n    at exec-13.js:1:12"
    assert script.stack_in_expression(stack) == stack.replace("exec-3.js:1:12", "exec-3.js:1:11")


def test_code_that_ends_too_early_fails_at_its_end() -> None:
    assert Script(3, "if (a) {\n  b").place(at(3, 24, ""), "SyntaxError: x")[0] == at(2, 4, "")


STACK = "Error: no (exec-9.js:9:9)\n    at f (exec-2.js:5:6)\n    at exec-3.js:7:8"


@pytest.mark.parametrize("location", [None, at(0, 0), at(10, 10, BASE_SCRIPT)])
def test_where_v8_does_not_know_or_means_the_base_image_the_first_frame_counts(
    location: Location | None,
) -> None:
    assert Script(3, CODE).place(location, STACK) == (at(5, 6, "exec-2.js"), STACK)
    assert Script(3, CODE).place(location, None) == (None, None)


def test_a_number_that_no_script_can_have_is_no_place() -> None:
    assert Script(3, CODE).place(None, "Error\n    at exec-3.js:99999999999999999999:1")[0] is None


@pytest.mark.parametrize(("name", "place"), [("a", (2, 9)), ("b", (2, 19)), ("last", None)])
def test_a_clash_of_declarations_is_where_the_name_is_declared(
    name: str, place: tuple[int, int] | None
) -> None:
    told = f"SyntaxError: Identifier '{name}' has already been declared"
    located, stack = Script(3, CODE).place(at(1, 1), f"{told}\n    at exec-3.js:1:1")
    assert located == (place and at(*place))
    assert stack == (f"{told}\n    at exec-3.js:{place[0]}:{place[1]}" if place else told)
    assert Script(3, CODE).place(at(1, 1), told)[0] == (place and at(*place))


def test_a_frame_shows_the_script_that_failed() -> None:
    script = Script(3, "now()")
    assert script.frame(at(1, 1)) == "> 1 | now()\n    | ^"
    earlier = at(2, 3, "exec-2.js", "function f() {\n  g()\n}\n//# sourceURL=exec-2.js")
    assert script.frame(earlier) == "  1 | function f() {\n> 2 |   g()\n    |   ^\n  3 | }"
