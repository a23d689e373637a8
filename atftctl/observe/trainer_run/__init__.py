"""The process of the trainer, and what it wrote."""
