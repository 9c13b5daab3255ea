"""What the commands ask, and of whom: a store, in this process, or a server."""
