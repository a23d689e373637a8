"""The snapshots that exist, and the files that a new one would hold."""
