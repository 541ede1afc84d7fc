"""Files that appear whole, and strict JSON."""
