"""Slurm, through its own commands. What Slurm says of a job is a claim, not a proof."""
