"""What frozen features are worth: nearest neighbours and a linear probe."""
