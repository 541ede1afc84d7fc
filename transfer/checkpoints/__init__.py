"""Any checkpoint file, opened without trusting it, and the backbone in it."""
