"""Copying of files, hashed while they are copied."""
