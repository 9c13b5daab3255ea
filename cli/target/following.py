"""What happens in a session, as it happens: told by a server, or seen in a store."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from importlib.metadata import version
from urllib.parse import urlsplit

import msgspec
import trio
from msgspec import Struct

from cli.target.client import Client, refusal
from cli.target.failures import NOT_FOUND, Failed, Refused
from cli.target.pages import events, session
from transports.rest.stream_messages import AnyMessage, Closed, Happened

POLL_SECONDS = 0.25
"""Between two looks at a store."""
PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.25, 5.0
"""Before a server that went away is asked again: at first, and at most."""
_MAX_MESSAGE_BYTES = 64 << 20
_INTERNAL = 1011
"""The code with which a server that cannot read the log closes (RFC 6455, section 7.4.1)."""

Tell = Callable[[AnyMessage], Awaitable[None]]

_message = msgspec.json.Decoder(AnyMessage)


class _Numbered(Struct):
    event: int


async def follow_store(client: Client, name: str, after: int, tell: Tell) -> None:
    """Tell of the events behind number ``after`` until the session is deleted, by looking again and again.

    Raises Refused, Failed.
    """
    created_at = (await session(client, name)).created_at
    while True:
        try:
            now = await session(client, name)
        except Refused as refused:
            if refused.status != NOT_FOUND:
                raise
            now = None
        if now is None or now.created_at != created_at:
            await tell(Closed())
            return
        async with aclosing(events(client, name, after + 1, now.event)) as found:
            async for event in found:
                after = event.event
                await tell(Happened(event=msgspec.Raw(msgspec.json.encode(event))))
        await trio.sleep(POLL_SECONDS)


async def follow_server(
    url: str, token: str | None, name: str, after: int, tell: Tell, lost: Callable[[], object]
) -> None:
    """Tell what a server says, from the event behind number ``after`` on, until the session is deleted.

    When it goes away, ``lost`` is called, and it is asked again until it is there. Raises Refused, Failed.
    """
    from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, open_websocket_url

    parts = urlsplit(url)
    headers = [(b"user-agent", f"mcp-v8-cli/{version('mcp-v8')}".encode())]
    if token:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    scheme = "ws" if secure is None else "wss"
    address = f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/api/sessions/{name}/stream?after="
    pause = PAUSE_SECONDS
    has_failed = False
    while True:
        opened = open_websocket_url(
            f"{address}{after}", secure, extra_headers=headers, max_message_size=_MAX_MESSAGE_BYTES
        )
        try:
            async with opened as socket:
                while True:
                    message = _message.decode(await socket.get_message())
                    pause = PAUSE_SECONDS
                    if isinstance(message, Happened):
                        has_failed = False
                        after = msgspec.json.decode(message.event, type=_Numbered).event
                    await tell(message)
                    if isinstance(message, Closed):
                        return
        except ConnectionRejected as rejected:
            if rejected.status_code < 500 and rejected.status_code != 429:
                raise refusal(rejected.status_code, rejected.body or b"") from None
        except ConnectionClosed as closed:
            if closed.reason is not None and closed.reason.code == _INTERNAL:
                if has_failed:
                    raise Failed(f"the server at {url} cannot read the log of session {name}") from None
                has_failed = True  # a token that is taken away ends it so, too: the next answer says which
                continue
        except HandshakeError:
            pass  # it is not there yet
        lost()
        await trio.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE_SECONDS)
