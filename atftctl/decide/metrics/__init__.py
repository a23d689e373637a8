"""What the trainer's metrics say: branches, summaries, curves."""
