"""The model, without the improvements."""
