"""From prices to batches: panel, features, graph, splits. The features and the graph of a day use no later day."""
