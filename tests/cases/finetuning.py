"""The command line of fine-tuning as tests use it: the smallest run, and weights that no initialisation gives."""

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
MEAN = [0.5, 0.45, 0.4]


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
