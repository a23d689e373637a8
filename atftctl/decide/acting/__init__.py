"""When the watcher may act: pure functions of what it sees and what it remembers."""
