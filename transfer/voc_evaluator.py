"""Detectron2's PASCAL VOC evaluation, with the AP of each class, which it computes and does not return."""

from __future__ import annotations

import itertools
import statistics
import tempfile
from pathlib import Path

from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.evaluation.pascal_voc_evaluation import voc_eval
from detectron2.utils import comm

THRESHOLDS = range(50, 100, 5)  # IoU in percent


class VocEvaluator(PascalVOCDetectionEvaluator):
    """Measures boxes as published VOC results are measured.

    That is the 11-point AP at every IoU for VOC 2007 and the area under the curve for 2012, on scores rounded to three
    decimals and boxes rounded to one; AP is the mean over ten IoU thresholds, AP50 is what VOC itself calls mAP.
    """

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Measure what all processes found.

        Returns:
            {"bbox": AP, AP50, AP75, and ``AP-CLASS`` for each class}, percent; empty in all processes but the first.
        """
        parts = comm.gather(self._predictions, dst=0)
        if not comm.is_main_process():
            return {}
        aps = {}
        with tempfile.TemporaryDirectory() as folder:
            for k, name in enumerate(self._class_names):
                lines = itertools.chain.from_iterable(part.get(k, ()) for part in parts)
                Path(folder, f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
                aps[name] = [100 * self._ap(Path(folder), name, threshold) for threshold in THRESHOLDS]
        at = {threshold: statistics.fmean(ap[i] for ap in aps.values()) for i, threshold in enumerate(THRESHOLDS)}
        found = {"AP": statistics.fmean(at.values()), "AP50": at[50], "AP75": at[75]}
        return {"bbox": found | {f"AP-{name}": statistics.fmean(values) for name, values in aps.items()}}

    def _ap(self, folder: Path, name: str, threshold: int) -> float:
        files = (str(folder / "{}.txt"), self._anno_file_template, self._image_set_path)
        return float(voc_eval(*files, name, ovthresh=threshold / 100, use_07_metric=self._is_2007)[2])
