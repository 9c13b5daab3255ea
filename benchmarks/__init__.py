"""The mini-benchmark: this server beside a stock Quart-Trio no-op, in the same run."""
