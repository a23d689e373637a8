"""Measurements of the trainer, each in a process of its own."""
