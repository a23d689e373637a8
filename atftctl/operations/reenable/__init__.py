"""`reenable`: turn improvements on again, one phase at a time, each behind its gate."""
