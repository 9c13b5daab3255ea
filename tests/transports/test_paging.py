"""Paging of a console."""

import pytest

from engine.errors import InvalidField
from engine.events import Line
from transports.paging import MAX_PAGE_BYTES, joined, page


def console(*texts: str) -> list[Line]:
    return [Line(level="log", text=text) for text in texts]


THREE = console("one", "zwölf", "three")


def test_the_first_page_holds_all_that_is_short() -> None:
    whole = page(THREE)
    assert (whole.data, whole.start_line, whole.end_line, whole.total_lines) == (
        "one\nzwölf\nthree\n",
        1,
        3,
        3,
    )
    assert (whole.start_byte, whole.end_byte, whole.total_bytes) == (0, 17, 17)
    assert (whole.next_line_offset, whole.next_byte_offset, whole.has_more) == (None, None, False)


def test_lines_count_from_one() -> None:
    second = page(THREE, line_offset=2, line_limit=1)
    assert (second.data, second.start_line, second.end_line) == ("zwölf\n", 2, 2)
    assert (second.next_line_offset, second.next_byte_offset, second.has_more) == (3, 11, True)


def test_a_text_with_newlines_is_several_lines() -> None:
    pages = page(console("a\nb", "c"), line_offset=2)
    assert (pages.data, pages.start_line, pages.end_line, pages.total_lines) == ("b\nc\n", 2, 3, 3)


def test_an_empty_console_has_an_empty_page() -> None:
    empty = page([])
    assert (empty.data, empty.start_line, empty.end_line, empty.total_lines) == ("", 1, 0, 0)
    assert not empty.has_more


@pytest.mark.parametrize("where", [{"line_offset": 4}, {"byte_offset": 17}, {"byte_offset": 10**12}])
def test_a_page_behind_the_end_is_empty(where: dict[str, int]) -> None:
    behind = page(THREE, **where)
    assert (behind.data, behind.start_line, behind.end_line) == ("", 4, 3)
    assert (behind.start_byte, behind.end_byte, behind.has_more) == (17, 17, False)


def test_a_page_of_bytes_ends_between_characters() -> None:
    # "zw" ends at byte 6; "ö" is bytes 6 and 7
    first = page(THREE, byte_offset=0, byte_limit=7)
    assert (first.data, first.end_byte, first.next_byte_offset) == ("one\nzw", 6, 6)
    assert (first.end_line, first.next_line_offset) == (2, 3)
    assert page(THREE, byte_offset=7, byte_limit=4).data == "ölf"


def test_a_page_has_at_least_a_character() -> None:
    assert page(console("😀"), byte_offset=0, byte_limit=1).data == "😀"
    assert page(console("😀"), line_offset=1, byte_limit=2).data == "😀"


def test_a_page_of_lines_ends_with_a_whole_line() -> None:
    cut = page(THREE, byte_limit=8)
    assert (cut.data, cut.next_line_offset, cut.has_more) == ("one\n", 2, True)


def test_the_rest_of_a_line_longer_than_a_page_is_reached_by_bytes() -> None:
    lines = console("x" * (MAX_PAGE_BYTES + 5), "end")
    first = page(lines, line_offset=1)
    assert (first.end_byte, first.end_line, first.next_line_offset) == (MAX_PAGE_BYTES, 1, 2)
    assert page(lines, byte_offset=MAX_PAGE_BYTES).data == "xxxxx\nend\n"
    assert page(lines, line_offset=2).data == "end\n"


def test_no_limit_makes_a_page_larger_than_the_largest() -> None:
    lines = console(*["y" * 99] * 1_000)
    assert page(lines, byte_limit=10**9).end_byte == MAX_PAGE_BYTES
    assert page(lines, line_limit=10**9).end_byte == MAX_PAGE_BYTES


@pytest.mark.parametrize("step", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("by", ["line", "byte"])
def test_pages_put_together_are_the_whole(by: str, step: int) -> None:
    lines = console("", "a\n\nb", "zwölf Boxkämpfer 😀😀", "", "end")
    text = ""
    at: int | None = 1 if by == "line" else 0
    while at is not None:
        part = page(lines, **{f"{by}_offset": at, f"{by}_limit": step})
        text += part.data
        at = part.next_line_offset if by == "line" else part.next_byte_offset
    assert text == joined(lines)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"line_offset": 0}, "line_offset"),
        ({"line_limit": 0}, "line_limit"),
        ({"byte_offset": -1}, "byte_offset"),
        ({"byte_limit": 0}, "byte_limit"),
        ({"line_offset": 1, "byte_offset": 0}, "byte_offset"),
    ],
)
def test_numbers_out_of_range_are_refused(asked: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        page(THREE, **asked)
    assert refused.value.field == field
