"""The nouns. Pure data, no machine."""
