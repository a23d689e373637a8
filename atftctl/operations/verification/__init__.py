"""`verify` and `baseline record`."""
