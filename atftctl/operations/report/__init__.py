"""Commands that only look: status, doctor, history, show."""
