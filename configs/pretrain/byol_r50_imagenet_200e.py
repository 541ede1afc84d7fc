# BYOL on ImageNet's training images, with the paper's pair of views (Grill et al. 2020, table 6): all first views are
# blurred and a tenth of the second ones, a fifth of the second ones is solarised; weaker saturation and hue.
#     python -m pretrain configs/pretrain/byol_r50_imagenet_200e.py --data imagenet/train --work-dir runs/a
# The paper's batch (4096), LARS and 1000 epochs are not repeated: optimiser and length are those of the other methods.
# Hardware: GPUs with bf16. Time: about 1.3 times that of simclr_r50_imagenet_200e (the target's forward passes).
# Memory: about 32 GB for all 256 images on one GPU. Estimates from ResNet-50's published training speed, not measured
# with this config.
_base_ = "base_r50_imagenet.py"
method = "byol"
schedule = dict(epochs=200)
views = dict(
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    hue=0.1,
    blur=1.0,
    second_blur=0.1,
    solarise=0.0,
    second_solarise=0.2,
)
