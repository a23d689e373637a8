"""Files, YAML text, git, processes and locks of the machine. Contains nothing specific to one service."""
