"""`runbook show|lint|render`."""
