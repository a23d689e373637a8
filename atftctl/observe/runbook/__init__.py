"""Find, read and check the runbook."""
