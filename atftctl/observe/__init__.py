"""The machine as frozen facts. Changes nothing in the project."""
