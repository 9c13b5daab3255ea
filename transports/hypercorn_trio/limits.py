"""What one connection may take, in time and in bytes."""

from __future__ import annotations

SEND_TIMEOUT = 20.0
"""Seconds that one send may take before the peer counts as gone."""
MAX_HEAD_BYTES = 16 << 10
"""Bytes of a request's target and headers."""
MAX_HEADERS = 128
"""Headers of a request in HTTP/1.1; in HTTP/2 their bytes bound their number."""
MAX_WEBSOCKET_MESSAGE = 64 << 10
"""Bytes, or characters, of a message that a WebSocket's client sends."""
LINGER = 1.0
"""Seconds for which a half-closed connection's input is discarded."""
RECEIVE_SIZE = 1 << 16
"""Bytes that are read at a time."""
MAX_GATHERED = 1 << 16
"""Bytes of a response that are gathered into one send."""
MAX_MESSAGES = 16
"""ASGI messages that may wait for an application: with RECEIVE_SIZE, about 1 MB of a request."""
MAX_RESETS = 100
"""Requests that an HTTP/2 client may take back beyond as many as were answered."""
