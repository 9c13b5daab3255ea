"""How two nodes make sure of each other, before anything else is said on their connection.

Who connects says who it is, and to whom it means to speak; both choose a nonce; then each proves that it has
the cluster's secret, first the one that connects, by an HMAC over all of that. The secret never travels, no
proof is of use for another connection, other nodes or the other direction, and nobody without the secret gets
one from a node by connecting to it.

What follows is neither encrypted nor signed: the network between the nodes is to be one's own, as for etcd.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar

import msgspec
import trio
from msgspec import Meta, Struct

from cluster.peers.frames import VERSION
from cluster.peers.wire import Wire

HANDSHAKE_SECONDS: Final = 3.0
"""Time for all of it."""
_NONCE_BYTES: Final = 32
_TOO_SLOW: Final = f"the introduction took more than {HANDSHAKE_SECONDS:g} s"

_Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._-]{1,64}\Z")]
"""As the command line takes them: a stranger's go into sentences, and into the log."""
_Bytes32 = Annotated[bytes, Meta(min_length=_NONCE_BYTES, max_length=_NONCE_BYTES)]

T = TypeVar("T")


class Refused(Exception):
    """One of the two does not want the other; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Passport:
    """Who a node is, and what it proves it with."""

    cluster: str
    node: str
    secret: bytes = field(repr=False)


class Hello(Struct, array_like=True, frozen=True):
    """From the node that connects. Other versions have the first field in the same place."""

    version: int
    cluster: _Name
    node: _Name
    wanted: _Name
    """The node that it means to speak to."""
    nonce: _Bytes32


class Welcome(Struct, array_like=True, frozen=True):
    """The answer."""

    nonce: _Bytes32


class Proof(Struct, array_like=True, frozen=True):
    """From the node that connects, then from the other."""

    mac: _Bytes32


async def introduce(wire: Wire, passport: Passport, node: str) -> None:
    """Make sure, having connected, that ``node`` is there. Raises Refused, and Closed."""
    hello = Hello(VERSION, passport.cluster, passport.node, node, secrets.token_bytes(_NONCE_BYTES))
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            await wire.send(msgspec.msgpack.encode(hello))
            welcome = _read(await wire.receive(), Welcome)
            await wire.send(msgspec.msgpack.encode(_proof(passport.secret, "connects", hello, welcome)))
            _check(passport.secret, "accepts", hello, welcome, await wire.receive())
    except trio.TooSlowError:
        raise Refused(_TOO_SLOW) from None


async def admit(wire: Wire, passport: Passport) -> str:
    """Make sure of a node that has connected: its name. Raises Refused, and Closed."""
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            hello = _first(await wire.receive())
            _suits(hello, passport)
            welcome = Welcome(secrets.token_bytes(_NONCE_BYTES))
            await wire.send(msgspec.msgpack.encode(welcome))
            _check(passport.secret, "connects", hello, welcome, await wire.receive())
            await wire.send(msgspec.msgpack.encode(_proof(passport.secret, "accepts", hello, welcome)))
    except trio.TooSlowError:
        raise Refused(_TOO_SLOW) from None
    return hello.node


def _first(message: bytes) -> Hello:
    try:
        version = msgspec.msgpack.decode(message, type=_Version).version
    except msgspec.DecodeError:
        version = VERSION  # it is nothing that a node says
    if version != VERSION:
        raise Refused(f"this node speaks version {VERSION} of the nodes' protocol, not {version}")
    return _read(message, Hello)


class _Version(Struct, array_like=True, frozen=True):
    version: Annotated[int, Meta(ge=0, lt=1 << 31)]


def _suits(hello: Hello, passport: Passport) -> None:
    if hello.cluster != passport.cluster:
        raise Refused(f"this node is of the cluster {passport.cluster[:32]}, not of {hello.cluster[:32]}")
    if hello.wanted != passport.node:
        raise Refused(f"this is node {passport.node[:32]}, not {hello.wanted[:32]}")
    if hello.node == passport.node:
        raise Refused(f"this node is called {passport.node[:32]}, too")


def _read(message: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(message, type=kind)
    except msgspec.DecodeError:
        raise Refused("that is not how a node of the cluster introduces itself") from None


def _proof(secret: bytes, side: str, hello: Hello, welcome: Welcome) -> Proof:
    return Proof(
        hmac.digest(secret, msgspec.msgpack.encode(("mcp-v8 peers", side, hello, welcome)), "sha256")
    )


def _check(secret: bytes, side: str, hello: Hello, welcome: Welcome, message: bytes) -> None:
    if not hmac.compare_digest(_read(message, Proof).mac, _proof(secret, side, hello, welcome).mac):
        raise Refused("the secret of the cluster is another one there")
