"""What a worker may ask of the kernel: next to nothing. ``layers.enter`` is the way in."""
