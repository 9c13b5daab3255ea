"""Files of tokens: what they can say, what is wrong with them, and that they are read again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import trio
import trio.testing

from transports import tokens
from transports.identity import Identity
from transports.tokens import BrokenTokens, TokenFile, line, new_token, parse

ALICE, BOB = "token-of-alice-0001", "token-of-bob/00002+~=="


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "tokens", f"{ALICE} alice laptop\n")


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def who(identity: Identity | None) -> tuple[str, str] | None:
    return None if identity is None else (identity.owner, identity.subject)


def test_a_line_is_a_token_its_owner_and_perhaps_a_name() -> None:
    found = parse(f"# who may come in\n\n{ALICE} alice laptop\t# the new one\r\n  {BOB}   bob\n")
    assert len(found) == 2
    assert who(found.identity(ALICE)) == ("alice", "laptop")
    assert who(found.identity(BOB)) == ("bob", "bob")
    for other in ("", "alice", ALICE[:-1], f"{ALICE}x", ALICE.upper(), "\ud800"):
        assert found.identity(other) is None


def test_an_owner_may_have_several_tokens() -> None:
    found = parse(f"{ALICE} alice laptop\n{BOB} alice phone\n")
    assert [who(found.identity(token)) for token in (ALICE, BOB)] == [("alice", "laptop"), ("alice", "phone")]


def test_a_hash_stands_for_its_token_and_lets_nobody_in_itself() -> None:
    hashed = f"sha256:{sha256(ALICE.encode()).hexdigest()}"
    for text in (hashed, f"sha256:{hashed[7:].upper()}"):
        found = parse(f"{text} alice")
        assert who(found.identity(ALICE)) == ("alice", "alice")
        assert found.identity(text) is None
        assert not found.in_plain
    assert parse(f"{ALICE} alice").in_plain


def test_a_new_token_and_its_line_belong_together() -> None:
    token, other = new_token(), new_token()
    assert token != other
    assert len(token) == len("mcpv8_") + 43
    text = line(token, "alice", "laptop")
    assert token not in text
    assert who(parse(text).identity(token)) == ("alice", "laptop")
    assert who(parse(line(token, "alice")).identity(token)) == ("alice", "alice")


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (nobody tells)
        await trio.sleep(0.001)


BROKEN = {
    f"{ALICE}": "line 1: after the token comes its owner",
    f"\n# x\n{ALICE} al/ice": "line 3: an owner or name is 1 to 64 of the characters",
    f"{ALICE} alice {'n' * 65}": "line 1: an owner or name is",
    f"{ALICE} alice laptop phone": "line 1: there is more than a token, an owner and a name",
    "short alice": "line 1: a token has 16 to 512 characters",
    f"{'x' * 513} alice": "line 1: a token has 16 to 512 characters",
    'token="of-alice-0001" alice': "line 1: a token consists of the characters",
    f"sha256:{'0' * 63} alice": "line 1: sha256: is followed by the 64 hex digits",
    f"sha256:{'g' * 64} alice": "line 1: sha256: is followed by the 64 hex digits",
    f"{ALICE} alice\n{ALICE} bob": "line 2: the token is on a line above already",
    f"{ALICE} alice\nsha256:{sha256(ALICE.encode()).hexdigest()} bob": "line 2: the token is on a line above",
}


@pytest.mark.parametrize(("text", "sentence"), BROKEN.items(), ids=range(len(BROKEN)))
def test_what_is_wrong_is_told_with_its_line_and_without_the_token(text: str, sentence: str) -> None:
    with pytest.raises(BrokenTokens) as broken:
        parse(text)
    assert str(broken.value).startswith(sentence)
    assert "of-alice-0001" not in str(broken.value)


def test_a_file_that_others_may_write_is_refused(path: Path) -> None:
    path.chmod(0o602)
    with pytest.raises(BrokenTokens, match=r"everybody may write .*: chmod o-w it"):
        TokenFile(path)


def test_a_file_that_others_may_read_is_warned_of_unless_it_has_hashes_only(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    TokenFile(path)
    assert not caplog.messages
    path.chmod(0o644)
    TokenFile(path)
    assert [message for message in caplog.messages if "everybody may read the tokens" in message]
    caplog.clear()
    TokenFile(written(path, line(ALICE, "alice"), 0o644))
    assert not caplog.messages


def test_a_file_without_tokens_lets_nobody_in_and_says_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert TokenFile(written(path, "# nobody\n")).identity(ALICE) is None
    assert caplog.messages == [f"{path} names no tokens: nobody is let in"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: path.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda path: path.write_text("#" * (tokens.MAX_FILE_BYTES + 1)), "is over 1,048,576 bytes"),
        (lambda path: path.write_text("x y"), "tokens, line 1: a token has 16 to 512 characters"),
    ],
)
async def test_a_file_that_cannot_be_used_leaves_the_tokens_as_they_were(
    path: Path, spoil: Callable[[Path], object], sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = TokenFile(path)
    spoil(path)
    with pytest.raises(BrokenTokens, match=sentence):
        TokenFile(path)
    await file.reload()
    (told,) = caplog.messages
    assert told.startswith("the tokens stay as they were: ")
    assert sentence in told
    assert who(file.identity(ALICE)) == ("alice", "laptop")


async def test_a_changed_file_is_read_again_without_being_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tokens, "POLL_SECONDS", 0.005)
    caplog.set_level(logging.INFO)
    file = TokenFile(path)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(file.watch)
            replacement = written(path.with_name("new"), f"{BOB} bob\n")
            replacement.rename(path)
            await until(lambda: file.identity(BOB) is not None)
            assert file.identity(ALICE) is None
            await trio.Path(path).unlink()
            await until(lambda: "the tokens stay" in caplog.text)
            assert who(file.identity(BOB)) == ("bob", "bob")
            nursery.cancel_scope.cancel()
    assert f"tokens read again: 1 in {path}" in caplog.messages


async def test_what_is_served_ends_when_its_token_no_longer_tells_the_same_owner(path: Path) -> None:
    written(path, f"{ALICE} alice laptop\n{BOB} alice laptop\n")
    file = TokenFile(path)
    going: set[str] = set()

    async def serve(token: str, task_status: trio.TaskStatus[None]) -> None:
        identity = file.identity(token)
        assert identity is not None
        going.add(token)
        with file.serving(identity):
            task_status.started()
            await trio.sleep_forever()
        going.remove(token)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for token in (ALICE, BOB):
                await nursery.start(serve, token)
            for text, left in (
                (f"{BOB} alice laptop\n{ALICE} alice laptop\n", {ALICE, BOB}),
                (f"{BOB} alice laptop\n", {BOB}),
                (f"{BOB} bob\n", set()),
            ):
                written(path, text)
                await file.reload()
                await trio.testing.wait_all_tasks_blocked()
                assert going == left
