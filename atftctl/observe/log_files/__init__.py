"""Read the logs of the trainer, of any size, also rotated ones."""
