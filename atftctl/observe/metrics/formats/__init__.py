"""The formats of metrics files: each turns bytes into rows."""
