"""The trainer's process and what it wrote."""
