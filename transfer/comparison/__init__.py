"""Records in; means, intervals and verdicts out, as numbers."""
