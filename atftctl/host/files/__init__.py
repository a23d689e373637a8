"""Durable file operations: each mutating call is one `os.` call that tests can strike."""
