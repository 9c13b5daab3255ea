"""How connections to etcd are made, on Trio and in threads."""

from __future__ import annotations

import ssl
from typing import TypedDict

import httpx2

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 3.0
"""For one attempt at one member."""
MAX_ANSWER_BYTES = 256 << 20
"""Of one answer; as base64, a key and its value of 1.5 MB have 2 MB."""
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""There was no connection: nothing reached etcd."""
_CONNECTIONS = 100


class Settings(TypedDict):
    """Of a client of HTTP."""

    timeout: httpx2.Timeout
    limits: httpx2.Limits
    trust_env: bool
    verify: ssl.SSLContext


def settings(answer_seconds: float) -> Settings:
    """No proxies and passwords of the environment; the authorities of the system, or of SSL_CERT_FILE."""
    return Settings(
        timeout=httpx2.Timeout(answer_seconds, connect=min(answer_seconds, CONNECT_SECONDS)),
        limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        trust_env=False,
        verify=ssl.create_default_context(),
    )
