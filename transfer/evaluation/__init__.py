"""Ground truth and detections in, metrics out."""
