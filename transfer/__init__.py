"""A pretraining checkpoint in; a measured detector and a report out."""

__version__ = "0.1.0"
