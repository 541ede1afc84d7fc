# SimCLR on ImageNet's training images: the baseline beside the joint method.
#     python -m pretrain configs/pretrain/simclr_r50_imagenet_200e.py --data imagenet/train --work-dir runs/a
# Hardware: GPUs with bf16. Time: about 2.5 days on one A100 (80 GB), 8 hours on eight. Memory: about 30 GB for all 256
# images on one GPU. Estimates from ResNet-50's published training speed, not measured with this config.
_base_ = "base_r50_imagenet.py"
method = "simclr"
schedule = dict(epochs=200)
