"""The only code that changes the project."""
