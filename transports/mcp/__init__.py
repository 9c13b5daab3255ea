"""The MCP doors: the tools and what leads to them, by the official SDK."""
