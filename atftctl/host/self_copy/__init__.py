"""atftctl's own code on disk, and which copy of it runs."""
