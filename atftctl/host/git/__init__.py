"""Git, read and changed."""
