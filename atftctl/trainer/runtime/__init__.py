"""What a run needs of the machine: processes, memory, requests to stop."""
