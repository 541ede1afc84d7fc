"""Images without labels in; ``backbone.safetensors`` out."""

__version__ = "0.1.0"
