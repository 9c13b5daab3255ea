"""What users would take instead of this server, each behind the same route, to be measured beside it."""
