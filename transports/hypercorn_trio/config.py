"""Hypercorn's configuration as this server wants it."""

from __future__ import annotations

import logging
import time

from hypercorn.config import Config

from transports.hypercorn_trio import limits


class ServerConfig(Config):
    """Hypercorn's configuration with our defaults and a ``date`` header computed once a second."""

    include_server_header = False
    keep_alive_timeout = 30.0
    keep_alive_max_requests = 1_000_000
    h11_max_incomplete_size = limits.MAX_HEAD_BYTES
    h2_max_header_list_size = limits.MAX_HEAD_BYTES
    websocket_max_message_size = limits.MAX_WEBSOCKET_MESSAGE
    max_connections = 1_000
    grace = 1.0
    """Seconds that open responses have at shutdown."""

    def __init__(self) -> None:
        self.accesslog = None
        self.errorlog = logging.getLogger("hypercorn.error")
        self._headers_at = 0
        self._headers: dict[str, list[tuple[bytes, bytes]]] = {}

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Headers that every response gets."""
        now = int(time.time())
        if now != self._headers_at:
            self._headers_at = now
            self._headers.clear()
        headers = self._headers.get(protocol)
        if headers is None:
            headers = self._headers[protocol] = super().response_headers(protocol)
        return headers
