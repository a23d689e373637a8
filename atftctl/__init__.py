"""Rollback operations for the ATFT-GAT-FAN training service."""

__version__ = "0.1.0"
