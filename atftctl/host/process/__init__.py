"""Processes: found, started, stopped, and with whose rights."""
