"""Where MCP is spoken over HTTP."""

from __future__ import annotations

PATH = "/mcp"
"""Streamable HTTP."""
STREAM_PATH = "/sse"
"""What clients of 2024 listen to."""
POST_PATH = "/message"
"""And what they post to."""
STREAM_PARAMETER = "session_id"
"""By which a post names the stream that it belongs to."""
