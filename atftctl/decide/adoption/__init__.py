"""A project that has no runbook yet: what its files and processes say, as a proposal."""
