"""Commands that measure: verify, baseline record."""
