"""Does it transfer? Initialisations compared on detection at equal compute and at equal epochs (docs/evidence.md)."""
