"""Copies that are hashed on the way."""
