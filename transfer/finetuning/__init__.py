"""A detector planned, trained, measured and recorded."""
