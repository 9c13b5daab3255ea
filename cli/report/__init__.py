"""A session's events as one HTML page that needs nothing else."""
