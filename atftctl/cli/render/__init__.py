"""Results as people read them, or as JSON."""
