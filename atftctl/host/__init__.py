"""Files, YAML text, git, processes, locks. Knows nothing of ATFT."""
