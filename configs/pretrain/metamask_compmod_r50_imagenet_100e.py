# The joint method on ImageNet's 1.28 million training images, 100 epochs, at little more than the cost of its base.
#     python -m pretrain configs/pretrain/metamask_compmod_r50_imagenet_100e.py --data imagenet/train --work-dir runs/a
# --data takes 'shards/train-{0000..1281}.tar' too. First of all: the same command with --dry-run.
# Hardware: GPUs with bf16. Time: about 36 hours on one A100 (80 GB), 5 on eight, if 4 CPU cores feed each
# thousand img/s. Memory: about 35 GB for all 256 images on one GPU, a share of it on each of several.
# These are estimates from ResNet-50's published training speed; none of them has been measured with this config.
_base_ = "base_r50_imagenet.py"
method = "metamask_compmod"
meta = dict(every=4)
schedule = dict(epochs=100)
