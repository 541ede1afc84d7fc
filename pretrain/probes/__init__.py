"""Frozen features judged: nearest neighbours and linear probe."""
