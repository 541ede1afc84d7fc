"""The run around the step: optimisers, hooks, checkpoints, resuming, rehearsal."""
