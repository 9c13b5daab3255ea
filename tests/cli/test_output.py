"""How answers are shown: nothing of a session steers the terminal, and everything fits it."""

from __future__ import annotations

import random
import re
import unicodedata
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cli.output import moments, quantities
from cli.output.code import MAX_HIGHLIGHTED, highlighted, numbered
from cli.output.json import line_of
from cli.output.styles import BAD, Styled
from cli.output.table import Column, Table
from cli.output.text import cells, fit, one_line, visible

NOW = datetime(2026, 11, 28, 23, 30, tzinfo=UTC)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\x7f\x00", "a␍b␡␀"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\tb\n\tc", "a   b\n    c"),
        ("👨‍👩‍👧 é", "👨‍👩‍👧 é"),
    ],
)
def test_what_steers_a_terminal_is_shown_for_what_it_is(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_no_text_at_all_comes_through_with_a_control_in_it() -> None:
    everything = "".join(map(chr, range(0x11_0000)))
    shown = visible(everything)
    shown.encode()  # without halves of surrogate pairs
    left = {character for character in shown if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")}
    assert left == {"\n"}
    assert not {
        character for character in shown if unicodedata.bidirectional(character) in ("RLO", "LRO", "RLE")
    }


def test_one_line_is_one_line() -> None:
    assert one_line("  const a = 1\r\n\n    b(a)\t\tc ") == "const a = 1⏎b(a) c"


@pytest.mark.parametrize(
    ("text", "wide"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("👨‍👩‍👧", 2), ("", 0)]
)
def test_text_is_as_wide_as_a_terminal_shows_it(text: str, wide: int) -> None:
    assert cells(text) == wide


def test_what_is_cut_fits_and_says_so() -> None:
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdef", 5) == "abcd…"
    assert fit("日本語", 5) == "日本…"
    assert fit("👨‍👩‍👧👨‍👩‍👧", 3) == "👨‍👩‍👧…"
    assert fit("abc", None) == "abc"
    assert fit("abc", 0) == ""


def test_text_of_any_kind_is_cut_to_any_width() -> None:
    chance = random.Random(7)
    alphabet = "ab\x1b\u202e日é\u0301👨‍👩‍👧 \t\n\ud800⏎"
    for _ in range(300):
        line = one_line("".join(chance.choices(alphabet, k=chance.randrange(40))))
        room = chance.randrange(1, 40)
        assert cells(fit(line, room)) <= room, (line, room)


COLUMNS = (
    Column(title="event", right=True),
    Column(title="caller", least=6, leaves=1),
    Column(title="took", leaves=2),
    Column(title="code", least=10),
)
ROWS = (
    ("1", "claude-code", "12 ms", "const rows = await load()"),
    ("1024", "curl", "2 min 5 s", Styled("rows[0].id", BAD)),
)


def test_a_table_is_as_wide_as_it_needs_where_there_is_room() -> None:
    assert [COLOURS.sub("", line) for line in Table(COLUMNS, ROWS, None).lines(ROWS)] == [
        "event  caller       took       code",
        "    1  claude-code  12 ms      const rows = await load()",
        " 1024  curl         2 min 5 s  rows[0].id",
    ]


@pytest.mark.parametrize("width", range(9, 70))
def test_a_table_fits_the_width_there_is(width: int) -> None:
    for line in Table(COLUMNS, ROWS, width).lines(ROWS):
        assert cells(COLOURS.sub("", line)) <= width


def test_where_there_is_little_room_columns_give_way_and_then_leave() -> None:
    def shown(width: int) -> list[str]:
        return [COLOURS.sub("", line) for line in Table(COLUMNS, ROWS, width).lines(ROWS)]

    assert shown(45)[1] == "    1  claude-code  12 ms      const rows = …"
    assert shown(30)[1] == "    1  claude-co…  const rows…"
    assert shown(20)[1] == "    1  const rows =…"


def test_a_cell_keeps_its_colour_when_it_is_cut() -> None:
    (line,) = Table((Column(least=3),), [(Styled("abcdef", BAD),)], 4).lines(
        [(Styled("abcdef", BAD),)], titles=False
    )
    assert line == "\x1b[31mabc…\x1b[0m"


def test_a_table_without_rows_has_its_titles() -> None:
    assert len(Table(COLUMNS, (), 40).lines(())) == 1


CODE = 'const a = "\x1b[31m"; // why\n\tload(`x\ny`)\r\nrows[0].id'


def test_code_in_colours_is_the_same_code_with_nothing_of_its_own_that_paints() -> None:
    shown = "\n".join(numbered(CODE, colours=True))
    assert "\x1b[32m" in shown
    assert COLOURS.sub("", shown).splitlines() == [
        '  1 | const a = "␛[31m"; // why',
        "  2 |     load(`x",
        "  3 | y`)",
        "  4 | rows[0].id",
    ]
    assert [COLOURS.sub("", line) for line in numbered(CODE, colours=False)] == COLOURS.sub(
        "", shown
    ).splitlines()


def test_the_failing_line_is_marked_below_the_column_that_v8_names() -> None:
    lines = numbered("ok()\n\t'日𝒳'.x.y", colours=False, failing=2, column=8)
    assert [COLOURS.sub("", line) for line in lines] == [
        "  1 | ok()",
        "> 2 |     '日𝒳'.x.y",
        "    |           ^",
    ]


def test_code_that_is_no_javascript_or_too_long_is_shown_all_the_same() -> None:
    assert COLOURS.sub("", highlighted("\0🤷 `${ 'unfinished")) == "␀🤷 `${ 'unfinished"
    assert len(numbered("x" * (MAX_HIGHLIGHTED + 1), colours=True)) == 1
    assert highlighted("") == ""


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0.04, "0.0 ms"), (1.84, "1.8 ms"), (9.96, "10 ms"), (999.4, "999 ms"), (999.6, "1.0 s"), (59_949, "59.9 s"),
        (59_960, "1 min"), (30_000, "30 s"),
        (125_000, "2 min 5 s"), (3_599_600, "1 h"), (11_400_000, "3 h 10 min"), (90_000_000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_a_duration_is_said_as_people_say_it(ms: float, shown: str) -> None:
    assert quantities.duration(ms) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_536, "1.5 KiB"),
        (10_200, "10 KiB"),
        (1 << 20, "1.0 MiB"),
        (1 << 50, "1,024 TiB"),
    ],
)
def test_a_size_is_said_as_people_say_it(count: int, shown: str) -> None:
    assert quantities.size(count) == shown


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (NOW - timedelta(minutes=16), "23:14"),
        (NOW - timedelta(days=1), "27 Nov 23:30"),
        (NOW - timedelta(days=365), "28 Nov 2025 23:30"),
    ],
)
def test_a_moment_is_said_as_short_as_can_be(at: datetime, shown: str) -> None:
    assert moments.clock(at, NOW) == shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(seconds=-3), "now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=3), "3 d ago"),
        (timedelta(days=40), "2026-10-19"),
    ],
)
def test_how_long_ago_something_was_is_said_roughly(passed: timedelta, shown: str) -> None:
    assert moments.ago(NOW - passed, NOW) == shown


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("23:00", "2026-11-28T23:00:00"),
        ("23:45", "2026-11-27T23:45:00"),
        ("9:05:07", "2026-11-28T09:05:07"),
        ("2026-11-28", "2026-11-28T00:00:00"),
        ("2026-11-28T23:00", "2026-11-28T23:00:00"),
        ("2026-11-28 23:00:01", "2026-11-28T23:00:01"),
        ("2026-11-28T23:00+01:00", "2026-11-28T22:00:00"),
        ("2026-11-28T23:00Z", "2026-11-28T23:00:00"),
        ("2h", "2026-11-28T21:30:00"),
        ("90 min", "2026-11-28T22:00:00"),
        ("1.5h ago", "2026-11-28T22:00:00"),
        ("1w", "2026-11-21T23:30:00"),
        ("today", "2026-11-28T00:00:00"),
        ("Yesterday", "2026-11-27T00:00:00"),
        ("now", "2026-11-28T23:30:00"),
    ],
)
def test_a_point_in_time_is_written_as_people_write_it(text: str, meant: str) -> None:
    assert moments.parse(text, NOW) == datetime.fromisoformat(meant).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "25:00", "2026-13-01", "soon", "2x", "999999w", "12", "-2h"])
def test_what_is_no_point_in_time_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="is no point in time: give 23:00"):
        moments.parse(text, NOW)


@pytest.mark.parametrize("width", range(1, 16))
def test_a_cell_of_several_styles_is_cut_as_one(width: int) -> None:
    row = ((Styled("code()"), Styled(" "), Styled("Error", BAD)),)
    (line,) = Table((Column(least=1),), [row], width).lines([row], titles=False)
    assert COLOURS.sub("", line) == fit("code() Error", width)


def test_json_has_nothing_that_steers_a_terminal_and_says_the_same() -> None:
    everything = "".join(chr(code) for code in range(0x11_0000) if not 0xD800 <= code < 0xE000)
    line = line_of({"text": everything})
    assert msgspec.json.decode(line) == {"text": everything}
    assert visible(line) == line
    assert line_of({"ü": 1}) == '{"ü":1}'
