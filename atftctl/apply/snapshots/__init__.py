"""Snapshots taken, pinned, exported and removed."""
