"""YAML as text: read, edited in place, and the edit proved."""
