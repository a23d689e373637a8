"""The metrics that a trainer wrote: one interface, and a reader for each kind of file."""
