"""The mcp-v8 command."""
