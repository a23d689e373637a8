"""The snapshots that exist, and what a new one would hold."""
