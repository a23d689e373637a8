"""From what was observed to the cause of a fault."""
