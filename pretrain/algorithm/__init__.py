"""One step of w and ψ, as MMEngine calls it."""
