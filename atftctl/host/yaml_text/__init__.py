"""Read YAML text, edit it in place, and check the edit."""
