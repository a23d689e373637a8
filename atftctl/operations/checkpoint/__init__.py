"""`checkpoint`: list, show and grade checkpoints; choose the one that a rollback resumes from."""
