"""The runbook: found, read and checked."""
