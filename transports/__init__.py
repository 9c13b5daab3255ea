"""The doors: REST, MCP, and the app that serves them."""
