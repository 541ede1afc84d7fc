# Barlow Twins on ImageNet's training images, with BYOL's pair of views, as its paper has them (Zbontar et al. 2021).
#     python -m pretrain configs/pretrain/barlow_twins_r50_imagenet_200e.py --data imagenet/train --work-dir runs/a
# The paper's head is 8192 wide and its batch 2048; here head, batch and optimiser are those of the other methods.
# Hardware: GPUs with bf16. Time: about that of simclr_r50_imagenet_200e. Memory: about 30 GB for all 256 images on one
# GPU. Estimates from ResNet-50's published training speed, not measured with this config.
_base_ = "byol_r50_imagenet_200e.py"
method = "barlow_twins"
