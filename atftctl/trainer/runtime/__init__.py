"""The machine below a run: processes, memory, requests to stop."""
