"""Measurements: what each part costs and gains, by one command each."""
