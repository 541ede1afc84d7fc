"""The small real data set of the demo, and the whole chain on it."""
