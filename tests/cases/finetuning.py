"""The command line of fine-tuning as tests use it: the smallest run, and weights that no initialisation gives."""

import subprocess
import sys
from pathlib import Path

import torch

from transfer import train_net
from transfer.checkpoints import names

SMALL = "any_mask_rcnn_R_18_FPN_small"
# As little computing as the chain allows.
TINY = [
    *("SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "(1,)", "SOLVER.WARMUP_ITERS", "0", "SOLVER.IMS_PER_BATCH", "2"),
    *("INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MIN_SIZE_TEST", "64", "TEST.PRECISE_BN.NUM_ITER", "1"),
    *("MODEL.RPN.POST_NMS_TOPK_TRAIN", "20", "MODEL.RPN.POST_NMS_TOPK_TEST", "20"),
]
# Longer: checkpoints and evaluations on the way.
MORE = ["SOLVER.MAX_ITER", "8", "SOLVER.STEPS", "(6,)", "SOLVER.CHECKPOINT_PERIOD", "2", "TEST.EVAL_PERIOD", "4"]
# Flips and sizes are drawn in the workers; resize makes the draw matter.
WORKERS = ["DATALOADER.NUM_WORKERS", "2", "INPUT.MIN_SIZE_TRAIN", "(56,64,72)"]
MEAN = [0.5, 0.45, 0.4]
ROOT = Path(__file__).parents[2]


def converted(arch):
    import torchvision

    generator = torch.Generator().manual_seed(7)
    state = {}
    for name, tensor in torchvision.models.get_model(arch).state_dict().items():
        renamed = names.to_detectron2(name)
        if renamed and not name.endswith("num_batches_tracked"):
            state[renamed] = torch.rand(tensor.shape, generator=generator) * 0.02 + 0.9 * tensor.ndim % 2
    metadata = {"format": "pretrain.backbone/1", "arch": arch, "stem": "imagenet", "method": "simclr"}
    metadata |= {"mean": MEAN, "std": [0.25, 0.25, 0.25], "channel_order": "RGB"}
    return {"model": state, "__author__": "test", "matching_heuristics": True, "metadata": metadata}


def run(*words, expected=0):
    config = [] if "--config-file" in words else ["--config-file", SMALL]
    assert train_net.main([*config, *map(str, words)]) == expected


def refused(capsys, *words):
    """Run what must be refused; return the one line."""
    capsys.readouterr()
    run(*words, expected=1)
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("transfer.train_net: ")
    assert "Traceback" not in captured.out
    return line


def words(data, folder, *more):
    """The words of a run that is long enough to be ended."""
    return ["--init", "random", "--seed", "3", *data, "OUTPUT_DIR", str(folder), *TINY, *MORE, *more]


def process(arguments, **options):
    """Start the command line as a process of its own."""
    command = [sys.executable, "-m", "transfer.train_net", "--config-file", SMALL, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def final(folder):
    """What the run ended with."""
    return torch.load(folder / "model_final.pth", weights_only=True)


def same(a, b):
    """Equality of nested containers, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b
