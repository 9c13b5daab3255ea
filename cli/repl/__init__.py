"""The interactive prompt: keys, threads, completion, and what is done with a statement."""
