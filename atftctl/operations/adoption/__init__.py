"""`init`: write the first runbook of a project."""
