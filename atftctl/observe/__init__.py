"""Observe the project and the machine, as frozen facts. Nothing here changes the project."""
