"""Lines of a log as plain text: their times, kinds of errors in them, and counts. Nothing here reads a file."""
