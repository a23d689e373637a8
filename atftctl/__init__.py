"""Rollback operations for machine-learning training services."""

__version__ = "0.1.0"
