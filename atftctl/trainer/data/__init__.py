"""From prices to batches: panel, features, graph, splits. Nothing here looks ahead of its day."""
