"""Hypercorn's protocols on Trio connections of our own.

Hypercorn parses HTTP/1.1, HTTP/2 (prior knowledge and upgrade) and WebSocket well; its Trio worker is
replaced here, for safety and for speed.

Safety. An error in one connection ends that connection, never the process. Every send is bounded:
a peer that stops reading loses its connection after ``SEND_TIMEOUT`` seconds, and at the end of the
grace period at shutdown. Connections are capped. A response that is sent before the request was read
(413, say) is not lost to a TCP reset: the connection is half-closed and what the peer still sends is
discarded for a moment.

Speed. The idle timer is the deadline of a cancel scope instead of a task per request; the head and
body of a response whose length is known leave in one send; a send that the socket takes at once needs
no pass of the scheduler; requests reach the application through a queue without checkpoints. Plain
requests for the routes that are asked most are answered where they are read, without all that.
"""

from transports.hypercorn_trio.config import ServerConfig
from transports.hypercorn_trio.plain import Hot
from transports.hypercorn_trio.server import Server, serve

__all__ = ["Hot", "Server", "ServerConfig", "serve"]
