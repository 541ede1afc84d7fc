"""What would spoil a run, found before it costs hours."""
