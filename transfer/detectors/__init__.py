"""What Detectron2 lacks or must be told: config, overlay, heads and stem, and what was loaded."""
