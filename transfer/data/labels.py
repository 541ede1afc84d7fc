"""Which training images have their labels used: a part that a seed fixes, small parts inside large ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfer.errors import InputError
from transfer.files import atomic

FILE_NAME = "labels.json"


@dataclass(frozen=True)
class Labels:
    """A part of the training images.

    Attributes:
        text: as given: "10%", or a number of images.
        seed: decides which images; all parts of one seed are nested.
    """

    text: str
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the text.

        Raises:
            InputError: no share and no number.
        """
        number = self.text.removesuffix("%")
        try:
            value = float(number) if self.text.endswith("%") else int(number)
        except ValueError:
            value = 0
        if not value > 0 or (self.text.endswith("%") and value > 100):
            raise InputError(
                f"--labels: expected a share such as 10% or a number of images, found {self.text}; correct it"
            )

    def count(self, images: int) -> int:
        """Return how many of ``images`` belong to the part.

        Raises:
            InputError: more than there are.
        """
        if self.text.endswith("%"):
            return max(1, round(images * float(self.text[:-1]) / 100))
        if int(self.text) > images:
            raise InputError(
                f"--labels: expected at most {images}, the training images, found {self.text}; ask for less"
            )
        return int(self.text)

    def choose(self, images: int) -> list[int]:
        """Return the numbers of the chosen images, rising.

        The first of one random order of all images: 1% is part of 10%, whatever the seed of training.
        """
        chosen = np.random.default_rng(self.seed).permutation(images)[: self.count(images)]
        return sorted(int(i) for i in chosen)


def save(folder: Path, labels: Labels, records: list[dict[str, Any]]) -> None:
    """Write which of ``records`` (all training images, in order) were used to ``folder/labels.json``."""
    chosen = labels.choose(len(records))
    content = {
        "labels": labels.text,
        "seed": labels.seed,
        "images": len(chosen),
        "of": len(records),
        "image_ids": [records[i]["image_id"] for i in chosen],
        "file_names": [records[i]["file_name"] for i in chosen],
    }
    atomic.write_text(folder / FILE_NAME, json.dumps(content, indent=1) + "\n")


def check_same(folder: Path, labels: Labels | None) -> None:
    """Raise InputError when the run in ``folder`` was started with another part of the labels."""
    file = folder / FILE_NAME
    earlier = None
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
        earlier = Labels(content["labels"], content["seed"])
    if earlier != labels:
        raise InputError(
            f"--resume: expected --labels as the run was started, {_words(earlier)}, found {_words(labels)}"
        )


def _words(labels: Labels | None) -> str:
    return "all images" if labels is None else f"{labels.text} (seed {labels.seed})"
