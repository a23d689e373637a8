"""Watching over the trainer: what is wrong, and what the detectors say."""
