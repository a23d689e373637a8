"""Processes: find, start and stop them, and the rights that they run with."""
