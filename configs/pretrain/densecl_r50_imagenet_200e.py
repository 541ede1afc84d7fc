# DenseCL on ImageNet's training images: the dense baseline beside the joint method, 7 by 7 cells a view.
#     python -m pretrain configs/pretrain/densecl_r50_imagenet_200e.py --data imagenet/train --work-dir runs/a
# Hardware: GPUs with bf16. Time: about 1.05 times that of simclr_r50_imagenet_200e. Memory: about 35 GB for all 256
# images on one GPU; the maps of the whole batch, 0.2 GB, and the dense head's work on them are on every GPU.
# Estimates from ResNet-50's published training speed, not measured with this config.
_base_ = "base_r50_imagenet.py"
method = "densecl"
schedule = dict(epochs=200)
