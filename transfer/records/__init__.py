"""The run record, the one contract of fine-tuning, evaluation and comparison."""
