"""An image and its objects made ready for the model: Detectron2's mapper, with this project's one decoder before it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetMapper, detection_utils
from detectron2.data import transforms as T
from numpy.typing import NDArray
from PIL import Image

from transfer.files import pixels


def read(file: str | Path, channels: str) -> NDArray[Any]:
    """Return an image, upright (``transfer.files.pixels``), in the order of INPUT.FORMAT, as Detectron2 makes it.

    Args:
        file: the image.
        channels: INPUT.FORMAT, such as "RGB" or "BGR".

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is no image, a damaged one, or of a mode without a rule.
    """
    rgb: NDArray[Any] = pixels.decode(Path(file).read_bytes())
    if channels == "RGB":
        return rgb
    if channels == "BGR":
        return rgb[:, :, ::-1]
    converted: NDArray[Any] = detection_utils.convert_PIL_to_numpy(Image.fromarray(rgb), channels)
    return converted


def why_unreadable(error: Exception) -> str:
    """Return in a few words why an image cannot be read: what `read` says, and of any other error its kind as well."""
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())[:120]


class Mapper(DatasetMapper):
    """Detectron2's mapper, which would see 16-bit images white; augmentations and everything after them are its own.

    Objects whose mask is empty are left out where masks are trained on, as Detectron2's reader does.
    """

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        """Return one record of a data set with ``image``, (C, H, W), and in training ``instances``."""
        return self.made_ready(copy.deepcopy(dataset_dict))

    def made_ready(self, record: dict[str, Any]) -> dict[str, Any]:
        """Do the same to a record that belongs to nobody else; it is changed."""
        image = read(record["file_name"], self.image_format)
        detection_utils.check_image_size(record, image)
        augmented = T.AugInput(image)
        transforms = self.augmentations(augmented)
        shape = augmented.image.shape[:2]
        record["image"] = torch.as_tensor(np.ascontiguousarray(augmented.image.transpose(2, 0, 1)))
        if self.proposal_topk is not None:
            detection_utils.transform_proposals(record, shape, transforms, proposal_topk=self.proposal_topk)
        if not self.is_train:
            record.pop("annotations", None)
        elif "annotations" in record:
            if self.use_instance_mask:
                record["annotations"] = [one for one in record["annotations"] if one.get("segmentation")]
            self._transform_annotations(record, transforms, shape)
        return record
