"""Data sets as annotation tools leave them, read and written as one clean COCO set."""
