"""One verb per file: lock, observe, decide, apply, verify, result. Prints nothing."""
