"""Bearer tokens and their owners, as an operator keeps them in a file.

A line each: the token, its owner, and perhaps a name for whoever uses it; ``#`` begins a comment. Instead of
a token there can be ``sha256:`` and the hash of one in hex, with which nobody who reads the file gets in.
"""

from __future__ import annotations

import logging
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import trio

from transports.identity import Identity

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""Time between looks at whether the file has changed."""
MAX_FILE_BYTES = 1 << 20
MIN_TOKEN_CHARS = 16
"""Shorter ones could be guessed."""
MAX_TOKEN_CHARS = 512

TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What a bearer token can be (RFC 6750, b64token)."""
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_NAME_RULE = "1 to 64 of the characters A-Z a-z 0-9 . _ @ + -"
_READABLE, _WRITABLE = stat.S_IROTH, stat.S_IWOTH


class BrokenTokens(Exception):
    """A file of tokens that cannot be used; the message is a sentence, without any token."""


class Tokens:
    """Who is who. Tokens are known by their SHA-256 alone."""

    def __init__(self, identities: Mapping[bytes, Identity], *, in_plain: bool = False) -> None:
        self._identities = identities
        self.in_plain = in_plain
        """Whether the file had tokens as they are."""

    def __len__(self) -> int:
        return len(self._identities)

    def identity(self, token: str) -> Identity | None:
        """Whose token it is.

        How long the comparison takes tells nothing: what is compared is a hash, of which nobody can choose a
        beginning.
        """
        return self._identities.get(_digest(token))

    def knows(self, identity: Identity) -> bool:
        """Whether the token that told an identity still does."""
        return self._identities.get(identity.credential) == identity


def new_token() -> str:
    """A random token of 256 bits. Its beginning lets scanners for leaked secrets recognize it."""
    return f"mcpv8_{secrets.token_urlsafe(32)}"


def line(token: str, owner: str, name: str = "") -> str:
    """The line for a token, hashed, in a file. Raises BrokenTokens for names that cannot be."""
    words = [owner, name] if name else [owner]
    _identity(words)
    return " ".join((f"sha256:{_digest(token).hex()}", *words))


def parse(text: str) -> Tokens:
    """The tokens in a file's text. Raises BrokenTokens, which names the line."""
    identities: dict[bytes, Identity] = {}
    in_plain = False
    for number, written in enumerate(text.split("\n"), 1):
        words = written.partition("#")[0].split()
        if not words:
            continue
        try:
            digest, plain = _token(words[0])
            identity = _identity(words[1:], digest)
        except BrokenTokens as broken:
            raise BrokenTokens(f"line {number}: {broken}") from None
        if digest in identities:
            raise BrokenTokens(f"line {number}: the token is on a line above already")
        identities[digest] = identity
        in_plain |= plain
    return Tokens(identities, in_plain=in_plain)


def _token(word: str) -> tuple[bytes, bool]:
    """A token's digest, and whether it is there in plain."""
    if match := _HASH.fullmatch(word):
        return bytes.fromhex(match[1]), False
    if word.startswith("sha256:"):
        raise BrokenTokens("sha256: is followed by the 64 hex digits of the token's hash")
    if TOKEN.fullmatch(word) is None:
        raise BrokenTokens("a token consists of the characters A-Z a-z 0-9 . _ ~ + / -, and = at its end")
    if not MIN_TOKEN_CHARS <= len(word) <= MAX_TOKEN_CHARS:
        raise BrokenTokens(f"a token has {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} characters")
    return _digest(word), True


def _identity(words: list[str], credential: bytes = b"") -> Identity:
    if not words:
        raise BrokenTokens("after the token comes its owner")
    if len(words) > 2:
        raise BrokenTokens("there is more than a token, an owner and a name")
    for word in words:
        check_name(word)
    return Identity(words[0], words[-1], credential)


def check_name(word: str) -> None:
    """Raises BrokenTokens for what no owner is called."""
    if _NAME.fullmatch(word) is None:
        raise BrokenTokens(f"an owner or name is {_NAME_RULE}")


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


class TokenFile:
    """The tokens in a file, which is read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises BrokenTokens."""
        self._path = path
        self._seen = _version(path)
        self._tokens = _read(path)
        self._served: dict[trio.CancelScope, Identity] = {}
        """What is being served, and for whom."""

    def identity(self, token: str) -> Identity | None:
        """Whose token it is, as the file says now."""
        return self._tokens.identity(token)

    @contextmanager
    def serving(self, identity: Identity) -> Iterator[None]:
        """A request or stream, which is cut off when its token is taken out of the file."""
        with trio.CancelScope() as life:
            self._served[life] = identity
            try:
                yield
            finally:
                del self._served[life]

    async def watch(self) -> None:
        """Read the file again whenever it has changed."""
        while True:
            await trio.sleep(POLL_SECONDS)
            seen = await trio.to_thread.run_sync(_version, self._path)
            if seen != self._seen:
                self._seen = seen
                await self.reload()

    async def reload(self) -> None:
        """Read the file again; what cannot be used is logged, and the tokens stay as they were."""
        try:
            self._tokens = await trio.to_thread.run_sync(_read, self._path)
        except BrokenTokens as broken:
            logger.error(  # noqa: TRY400 (the sentence says it all)
                "the tokens stay as they were: %s", broken
            )
        else:
            for life, identity in self._served.items():
                if not self._tokens.knows(identity):
                    life.cancel()
            logger.info("tokens read again: %d in %s", len(self._tokens), self._path)


def _version(path: Path) -> tuple[int, ...] | None:
    """What differs where a file was written or replaced; None if it cannot be seen."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns


def _read(path: Path) -> Tokens:
    """The tokens in a file. Raises BrokenTokens."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = file.read(MAX_FILE_BYTES + 1)
        tokens = parse(data.decode())
    except OSError as error:
        raise BrokenTokens(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BrokenTokens(f"{path} is not UTF-8") from error
    except BrokenTokens as broken:
        raise BrokenTokens(f"{path}, {broken}") from None
    if len(data) > MAX_FILE_BYTES:
        raise BrokenTokens(f"{path} is over {MAX_FILE_BYTES:,} bytes")
    if mode & _WRITABLE:
        raise BrokenTokens(f"everybody may write {path}: chmod o-w it, or they let themselves in")
    if mode & _READABLE and tokens.in_plain:
        logger.warning("everybody may read the tokens in %s: chmod o-r it, or keep their hashes only", path)
    if not len(tokens):
        logger.warning("%s names no tokens: nobody is let in", path)
    return tokens
