"""A portable file gives back what was exported, and nothing that only looks like it is believed."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from backports import zstd
from log_samples import CALLER, History
from msgspec.structs import replace
from portable_files import check, file_of, header_of, lines_of, packed

from engine import importcheck, portable
from engine.chain import GENESIS, Record, event_id, seal
from engine.errors import Conflict, FileCorrupt, InvalidField, TooLarge
from engine.events import Accepted, Event, Executed, Line, Outcome, Tagged, Trace
from engine.importcheck import MAX_TIME, REDACTED
from engine.limits import LimitPolicy, Limits

REFUSED = (FileCorrupt, InvalidField, TooLarge, Conflict)


def short() -> list[Record]:
    """A session, its fork, and one of that."""
    base, fork, twig = History("s1"), History("s2", name="fork"), History("s3", name="twig")
    base.created()
    base.executed()
    base.tagged(1, stage="raw")
    base.executed(code="x" * 2_000)
    base.executed()
    fork.forked(base.records[3])
    fork.executed()
    fork.aborted(idempotency_key="k1")
    fork.executed()
    twig.forked(fork.records[3])
    twig.tagged(1, stage="old", note="1")
    twig.executed()
    return [*base.records[:4], *fork.records, *twig.records]


def of_session(*events: Event, **changes: Any) -> bytes:
    """The file of a session that has these events after its first; what they are and follow is put right."""
    history = History("s1")
    records = [history.created()]
    for event in events:
        fields = {"seq": len(records)} if event.session == "s1" else {}
        records.append(seal(records[-1].id, replace(event, **fields)))
    return file_of(records, **changes)


def made_up(begun: Record, line: portable.Line) -> bytes:
    """A file whose second event is what no export would write."""
    packer = portable.Packer()
    lines = (header_of([begun], events=2), portable.line_of(begun), line)
    return b"".join(map(packer.add, lines)) + packer.finish()


@pytest.fixture(scope="module")
def executed() -> Executed:
    history = History("s1")
    history.created()
    event = history.executed().event
    assert isinstance(event, Executed)
    return event


@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_a_file_gives_back_every_record_however_it_comes(piece: int) -> None:
    records = short()
    assert check(file_of(records), piece=piece) == records


def test_a_file_is_lines_of_json_that_other_programs_can_read() -> None:
    records = short()
    first, *lines, last = (msgspec.json.decode(line) for line in lines_of(file_of(records)))
    assert first == {
        "format": "mcp-v8 session",
        "version": 1,
        "redacted": False,
        "session": "twig",
        "owner": "ann",
        "head": records[-1].id.hex(),
        "events": len(records),
        "exported_at": "2026-01-02T00:00:00Z",
        "exported_by": "test",
    }
    assert [(line["event"], line["type"], line["id"]) for line in lines] == [
        (number, record.event.__struct_config__.tag, record.id.hex()) for number, record in enumerate(records)
    ]
    assert last == {"end": True, "head": records[-1].id.hex()}


def test_a_session_that_was_deleted_is_refused() -> None:
    history = History()
    history.created(), history.executed(), history.closed()
    with pytest.raises(Conflict, match="was deleted"):
        check(file_of(history.records))


def test_every_byte_that_is_flipped_is_noticed_or_changes_nothing() -> None:
    records = short()
    file = file_of(records)
    unnoticed = []
    for at in range(len(file)):
        damaged = bytearray(file)
        damaged[at] ^= 1 << at % 8
        with suppress(*REFUSED):
            assert check(bytes(damaged)) == records
            unnoticed.append(at)
    assert len(unnoticed) < len(file) / 100  # zstd has some bits that nothing depends on


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.torture)])
def test_bytes_that_are_flipped_below_the_compression_are_noticed_or_change_nothing(every: int) -> None:
    """Also if somebody has packed the file again: but for who made it, and when."""
    records = short()
    lines = lines_of(file_of(records))
    told = lines[0].index(b'"exported_at"')
    text = b"".join(lines)
    unnoticed = []
    for at in [*range(told), *range(len(lines[0]) - 1, len(text))][::every]:
        damaged = bytearray(text)
        damaged[at] ^= 1 << at % 7
        with suppress(*REFUSED):
            assert check(packed([damaged]), piece=1 << 20) == records
            unnoticed.append(text[at + 1 : at + 3])
    assert set(unnoticed) <= {b'="', b'",', b"=="}, (
        "the last character before the end of base64 has bits to spare"
    )


@pytest.mark.parametrize("lines", range(13))
def test_a_file_that_was_cut_off_after_any_line_is_refused(lines: int) -> None:
    whole = lines_of(file_of(short()))
    assert len(whole) == 13
    with pytest.raises(FileCorrupt, match=r"cut off|does not begin"):
        check(packed(whole[:lines]))


def test_a_file_that_was_cut_off_after_any_byte_is_refused() -> None:
    file = file_of(short())
    for size in range(len(file)):
        with pytest.raises(FileCorrupt, match=r"cut off|empty"):
            check(file[:size])


def test_lines_in_another_order_are_refused() -> None:
    lines = lines_of(file_of(short()))
    for at in range(len(lines) - 1):
        swapped = [*lines]
        swapped[at : at + 2] = swapped[at + 1], swapped[at]
        with pytest.raises(FileCorrupt):
            check(packed(swapped))


def test_lines_that_are_missing_or_there_twice_are_refused() -> None:
    lines = lines_of(file_of(short()))
    for at in range(len(lines)):
        for changed in (lines[:at] + lines[at + 1 :], lines[: at + 1] + lines[at:]):
            with pytest.raises(FileCorrupt):
                check(packed(changed))


@pytest.mark.parametrize("after", [b"x", b"\0", zstd.compress(b""), zstd.compress(b"{}\n")])
def test_what_follows_the_end_is_refused(after: bytes) -> None:
    for piece in (1, 100_000):
        with pytest.raises(FileCorrupt, match="follows"):
            check(file_of(short()) + after, piece=piece)


def test_lines_that_follow_the_last_are_refused() -> None:
    lines = lines_of(file_of(short()))
    for after in (b"\n", b"{}\n", lines[-1], lines[1]):
        with pytest.raises(FileCorrupt, match="follows"):
            check(packed([*lines, after]))
    with pytest.raises(FileCorrupt, match="has no end"):
        check(packed([*lines, b" "]))


@pytest.mark.parametrize("text", [b"", b"hello", b"PK\3\4" + bytes(60), b'{"format":"mcp-v8 session"}\n'])
def test_what_is_not_compressed_is_told_so(text: bytes) -> None:
    with pytest.raises(FileCorrupt, match=r"empty|not compressed with zstd"):
        check(text)


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"\xff\n", b'{"format":"tar","version":1}\n', b"{" * 9_999 + b"\n"]
)
def test_what_another_program_has_packed_is_told_so(line: bytes) -> None:
    with pytest.raises(FileCorrupt, match="does not begin as `mcp-v8 export` begins a file"):
        check(packed([line]))


def test_a_file_of_a_newer_version_names_it() -> None:
    with pytest.raises(InvalidField, match="has version 2; this program reads version 1: run a newer mcp-v8"):
        check(packed([b'{"format":"mcp-v8 session","version":2,"sessions":[]}\n']))


def test_a_redacted_file_says_that_it_cannot_be_verified() -> None:
    header = replace(header_of(short()), redacted=True, head=None)
    with pytest.raises(InvalidField) as refused:
        check(packed([msgspec.json.encode(header) + b"\n"]))
    assert refused.value.message == REDACTED


def test_what_unpacks_to_too_much_is_refused_without_holding_it() -> None:
    bomb = zstd.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match=r"over 33,554,432 bytes unpacked.*--max-import-bytes"):
            check(bomb, most=32 << 20, piece=len(bomb))
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_a_line_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "MAX_LINE_BYTES", 1 << 20)
    lines = lines_of(file_of(short()))
    with pytest.raises(TooLarge, match="line 2 of the file has over 1,048,576 bytes"):
        check(packed([lines[0], b" " * (3 << 20), *lines[1:]]))


def test_a_file_that_needs_a_large_window_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27}
    noise = random.Random(1).randbytes(9 << 20)
    with pytest.raises(FileCorrupt, match="zstd -19 or less"):
        check(zstd.compress(noise, options=options))


def test_bytes_that_unpack_to_nothing_are_counted_too() -> None:
    empty = b"\x50\x2a\x4d\x18" + (1 << 20).to_bytes(4, "little") + bytes(1 << 20)  # a skippable frame
    with pytest.raises(REFUSED):
        check(empty * 40, most=32 << 20)


def test_the_session_must_be_the_owners() -> None:
    file = file_of(short())
    assert check(file, owner="ann")
    with pytest.raises(
        Conflict, match="belongs to 'ann', and you are 'bob': only its owner can import it here"
    ):
        check(file, owner="bob")


def test_the_first_and_the_last_line_must_agree_with_the_events() -> None:
    records = short()
    for changes in ({"session": "fork"}, {"head": records[0].id.hex()}, {"events": len(records) + 1}):
        with pytest.raises(FileCorrupt, match=r"does not agree|cut off"):
            check(file_of(records, **changes))
    with pytest.raises(FileCorrupt, match="more events than its first line says"):
        check(file_of(records, events=len(records) - 1))
    with pytest.raises(FileCorrupt, match="of another owner"):
        check(file_of(records, owner="bob"))
    lines = lines_of(file_of(records))
    for end in (
        b'{"end":false,"head":"%s"}\n' % records[-1].id.hex().encode(),
        b'{"end":true,"head":null}\n',
    ):
        with pytest.raises(FileCorrupt, match="does not agree"):
            check(packed([*lines[:-1], end]))


def test_a_history_must_be_one_line_of_forks_from_states() -> None:
    base, other, fork = History("s1"), History("s2"), History("s3")
    base.created(), base.executed(), base.tagged()
    other.created(), other.executed(), other.executed()
    fork.forked(base.head)  # a label is no state
    with pytest.raises(FileCorrupt, match="not a state"):
        check(file_of([*base.records, *fork.records]))
    fork.records.clear()
    fork.forked(other.records[1])
    with pytest.raises(FileCorrupt, match="does not follow"):
        check(file_of([*base.records[:2], *fork.records]))
    with pytest.raises(FileCorrupt, match="does not follow"):
        check(file_of([*base.records[:2], *other.records]))
    with pytest.raises(FileCorrupt, match="begins with"):
        check(file_of([seal(GENESIS, replace(base.records[1].event, seq=0))]))
    wrong = replace(fork.records[0].event, parent="s9")
    with pytest.raises(FileCorrupt, match="not a state"):
        check(file_of([*other.records[:2], seal(other.records[1].id, wrong)]))


def test_a_session_occurs_once_in_a_history() -> None:
    base, fork, again = History("s1"), History("s2"), History("s1")
    base.created()
    fork.forked(base.head)
    again.forked(fork.head)
    with pytest.raises(FileCorrupt, match="occurs twice"):
        check(file_of([*base.records, *fork.records, *again.records]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"at": -1}, "time"),
        ({"at": MAX_TIME + 1}, "time"),
        ({"accepted_at": 2**63}, "times"),
        ({"duration_us": 2**62}, "times"),
        ({"duration_us": -1}, "times"),
        ({"execution_id": "e_/../x"}, "id"),
        ({"execution_id": ""}, "id"),
        ({"idempotency_key": "k" * 256}, "key"),
        ({"idempotency_key": "\n"}, "key"),
        ({"trace": Trace(start=2**60, seed=bytes(16))}, "no execution"),
        ({"trace": Trace(start=1, seed=bytes(16), clock=(2**52, 1) * 9)}, "no execution"),
        ({"trace": Trace(start=1, seed=bytes(15))}, "no execution"),
        ({"digest": b""}, "no execution"),
        ({"cpu_us": -1}, "no execution"),
        ({"outcome": Outcome(status="failed")}, "no execution"),
        ({"outcome": Outcome(status="completed", result="x" * 2_000_000)}, "no execution"),
        ({"console": (Line("log", "x" * 2_000_000),)}, "no execution"),
        ({"console": (Line("log", ""),) * 40_000}, "no execution"),
        ({"owner": "bob"}, "another owner"),
        ({"session": "s2"}, "does not follow"),
    ],
)
def test_what_no_server_records_is_refused_though_it_hashes(
    executed: Executed, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(FileCorrupt, match=said):
        check(of_session(replace(executed, **changes)))


@pytest.mark.parametrize("name", ["", "a/b", "ü", "x" * 129])
def test_names_have_the_form_of_names(name: str) -> None:
    with pytest.raises(FileCorrupt, match="name is of no such form"):
        check(file_of([History("s1", name=name).created()]))


@pytest.mark.parametrize("session", ["", "a.b", "ü", "x" * 65])
def test_internal_ids_have_the_form_of_ids(session: str) -> None:
    with pytest.raises(FileCorrupt, match="id or its time is of no such form"):
        check(file_of([History(session, name="demo").created()], session="demo"))


@pytest.mark.parametrize(
    "tags", [{}, {"": "x"}, {"k" * 65: "x"}, {"k": "v" * 257}, {str(n): "v" for n in range(65)}]
)
def test_labels_are_such_as_a_server_takes(tags: dict[str, str | None]) -> None:
    with pytest.raises(FileCorrupt, match="label"):
        check(of_session(Tagged(session="s1", seq=1, at=1, caller=CALLER, target=0, tags=tags)))


@pytest.mark.parametrize("digests", [{}, {0: bytes(32)}, {2: bytes(32)}, {-1: bytes(32)}, {1: bytes(31)}])
def test_what_is_accepted_are_replays_of_events_before_it(
    executed: Executed, digests: dict[int, bytes]
) -> None:
    event = Accepted(session="s1", seq=2, at=1, caller=CALLER, engine="x", digests={1: bytes(32)})
    assert len(check(of_session(executed, event))) == 3
    with pytest.raises(FileCorrupt, match="accepts what no replay"):
        check(of_session(executed, replace(event, digests=digests)))


def test_a_server_takes_so_many_accepted_replays(executed: Executed, monkeypatch: pytest.MonkeyPatch) -> None:
    event = Accepted(session="s1", seq=2, at=1, caller=CALLER, engine="x", digests={1: bytes(32)})
    file = of_session(executed, event, event, event)
    assert check(file, policy=LimitPolicy())
    for limit in ("MAX_DIGESTS", "MAX_ACCEPTED"):
        with monkeypatch.context() as patched:
            patched.setattr(importcheck, limit, 2)
            with pytest.raises(TooLarge, match="accepted over"):
                check(file, policy=LimitPolicy())


def test_lists_that_take_much_memory_are_refused_before_they_are_decoded() -> None:
    begun = History("s1").created()
    lists = b"\xdd" + (20_000_000).to_bytes(4, "big") + b"\x90" * 20_000_000
    reference = msgspec.msgpack.Ext(1, len(lists).to_bytes(8, "big") + hashlib.sha256(lists).digest())
    body = msgspec.msgpack.encode({"type": "executed", "console": reference})
    line = portable.Line(
        event=1,
        type="executed",
        id=event_id(begun.id, body).hex(),
        prev=begun.id.hex(),
        body=body,
        large=[lists],
    )
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="event 1 has 20,000,005 bytes of console"):
            check(made_up(begun, line), policy=LimitPolicy())
        assert tracemalloc.get_traced_memory()[1] < 200_000_000  # decoded, they take over 1.2 GB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("console", [[]] * 5_000_000),
        ("console", [["log", [[]] * 5_000_000]]),
        ("trace", {"start": 1, "seed": bytes(16), "more": [[]] * 5_000_000}),
        ("unknown", [[]] * 5_000_000),
    ],
    ids=("lists", "text", "more", "unknown"),
)
def test_what_is_of_no_event_is_not_decoded(field: str, value: object) -> None:
    begun = History("s1").created()
    lists = msgspec.msgpack.encode(value)
    reference = msgspec.msgpack.Ext(1, len(lists).to_bytes(8, "big") + hashlib.sha256(lists).digest())
    body = msgspec.msgpack.encode({"type": "executed", field: reference})
    name = event_id(begun.id, body).hex()
    line = portable.Line(event=1, type="executed", id=name, prev=begun.id.hex(), body=body, large=[lists])
    tracemalloc.start()
    try:
        with pytest.raises(FileCorrupt, match=f"'{field}' is not of its form"):
            check(made_up(begun, line), policy=LimitPolicy())
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()


def test_lines_of_too_many_parts_are_refused_before_they_are_decoded() -> None:
    header, first, *_ = lines_of(file_of([History("s1").created()]))
    parts = b'["",' + b'"",' * 1_000_000
    with pytest.raises(FileCorrupt, match="first line is longer"):
        check(packed([header.replace(b"{", b'{"x":' + parts + b'""],', 1)]))
    with pytest.raises(FileCorrupt, match="more fields than any event"):
        check(packed([header, first.replace(b'"large":[', b'"large":' + parts)]))


@pytest.mark.parametrize(
    ("body", "large"), [(b"\xc4" * 100_000, []), (b"\x80", [b""] * 100)], ids=["body", "large fields"]
)
def test_a_line_is_no_larger_than_an_events(body: bytes, large: list[bytes]) -> None:
    begun = History("s1").created()
    name = event_id(begun.id, body).hex()
    line = portable.Line(event=1, type="executed", id=name, prev=begun.id.hex(), body=body, large=large)
    with pytest.raises(FileCorrupt, match=r"large field|length <= 64"):
        check(made_up(begun, line))


def test_labels_are_of_states_and_no_more_than_a_session_has(executed: Executed) -> None:
    tag = Tagged(session="s1", seq=1, at=1, caller=CALLER, target=0, tags={"a": "b"})
    assert len(check(of_session(tag, tag, executed))) == 4
    for target in (-1, 1, 2, 3, 2**40):
        with pytest.raises(FileCorrupt, match="no state"):
            check(of_session(tag, replace(tag, target=target)))
    many = [executed] * 17
    labels = [replace(tag, target=n, tags={str(k): "v" for k in range(64)}) for n in range(1, 18)]
    executions = [replace(one, execution_id=f"e_{n}") for n, one in enumerate(many)]
    assert check(of_session(*executions, *labels[:16]))
    with pytest.raises(FileCorrupt, match="a session can have 1024 labels"):
        check(of_session(*executions, *labels))


@pytest.mark.parametrize(
    ("limits", "flag"),
    [
        ({"time_ms": 300_001}, "--max-execution-timeout"),
        ({"time_ms": -1}, "--max-execution-timeout"),
        ({"heap_mb": 4_096}, "--heap-memory-max"),
        ({"offheap_mb": 129}, "--max-offheap-memory"),
        ({"console_bytes": 2 << 20}, "--max-console-bytes"),
        ({"result_chars": 65_537}, "--max-result-chars"),
        ({"timers": 10_001}, "--max-timers"),
        ({"clock_reads": 100_001}, "--max-clock-reads"),
        ({"cpu_ms": 300_001}, "--max-cpu-seconds"),
    ],
)
def test_events_that_need_more_than_is_allowed_here_name_the_flag(
    executed: Executed, limits: dict[str, int], flag: str
) -> None:
    file = of_session(replace(executed, limits=Limits(**limits)))
    assert check(file)
    with pytest.raises(TooLarge, match=flag):
        check(file, policy=LimitPolicy())


@pytest.mark.parametrize(
    ("policy", "changes", "flag"),
    [
        (LimitPolicy(max_session_events=1), {}, "--max-session-events"),
        (LimitPolicy(max_code_bytes=4), {}, "--max-code-bytes"),
        (LimitPolicy(max_input_bytes=4), {"input": '"long"'}, "--max-input-chars"),
    ],
)
def test_longer_sessions_code_and_input_than_are_allowed_here_name_the_flag(
    executed: Executed, policy: LimitPolicy, changes: dict[str, Any], flag: str
) -> None:
    with pytest.raises(TooLarge, match=flag):
        check(of_session(replace(executed, **changes)), policy=policy)


def _extra_field(line: dict[str, Any]) -> None:
    line["large"].append("eHh4")


def _no_large_field(line: dict[str, Any]) -> None:
    line["large"].clear()


def _other_number(line: dict[str, Any]) -> None:
    line["event"] += 1


def _other_type(line: dict[str, Any]) -> None:
    line["type"] = "created"


def _unknown_field(line: dict[str, Any]) -> None:
    line["note"] = "x"


def _id_in_capitals(line: dict[str, Any]) -> None:
    line["id"] = line["id"].upper()


@pytest.mark.parametrize(
    "change",
    [_extra_field, _no_large_field, _other_number, _other_type, _unknown_field, _id_in_capitals],
)
def test_a_line_says_what_its_record_does_and_nothing_else(change: Callable[[dict[str, Any]], None]) -> None:
    lines = lines_of(file_of(short()))
    line = msgspec.json.decode(lines[4])
    assert line["large"]
    change(line)
    with pytest.raises(FileCorrupt, match=r"`mcp-v8 export` \(line 5\): "):
        check(packed([*lines[:4], msgspec.json.encode(line) + b"\n", *lines[5:]]))


def test_an_event_of_a_newer_format_says_what_to_do(executed: Executed) -> None:
    with pytest.raises(FileCorrupt, match=r"format version 99.*run a newer mcp-v8"):
        check(of_session(replace(executed, v=99)))
