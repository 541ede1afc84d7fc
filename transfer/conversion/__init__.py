"""A backbone written for another framework, and the proof that it is the same."""
