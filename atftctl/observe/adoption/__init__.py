"""Look at a project that has no runbook yet. Changes nothing."""
