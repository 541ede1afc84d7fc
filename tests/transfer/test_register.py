"""``import transfer.register`` is all that Detectron2's own script needs to know this project's names."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMES = """
from detectron2.data import DatasetCatalog
from detectron2.modeling import BACKBONE_REGISTRY, ROI_HEADS_REGISTRY

def known():
    heads = [name in ROI_HEADS_REGISTRY for name in ("Res5BasicROIHeads", "ExtraNormRes5ROIHeads")]
    stems = [f"build_small_stem_resnet_{kind}backbone" in BACKBONE_REGISTRY for kind in ("", "fpn_")]
    sets = [f"voc_2012_instance_{split}" in DatasetCatalog for split in ("trainaug", "val")]
    return heads + stems + sets

before = known()
import transfer.register
print(any(before), all(known()))
"""


def test_the_import_makes_every_name_known():
    done = subprocess.run([sys.executable, "-c", NAMES], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["False", "True"]
