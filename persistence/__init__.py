"""Where events are kept: the interface, and its implementations."""
