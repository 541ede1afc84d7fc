"""Mathematics: tensors in, tensors out; no MMEngine, no files."""
