"""The checkpoints on disk, and what can be measured of them."""
