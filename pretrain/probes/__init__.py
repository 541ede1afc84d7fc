"""What frozen features are worth, of whole images and of objects: nearest neighbours, a linear probe, LogME."""
