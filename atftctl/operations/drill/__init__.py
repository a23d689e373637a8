"""`drill`: a rehearsal in a scratch copy."""
