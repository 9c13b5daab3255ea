"""The REST door: executions, sessions, the server itself and its documents."""
