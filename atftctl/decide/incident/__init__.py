"""Pure parts of the page of an incident: curves in few points, the timeline, the cost."""
