# MetaMask with DenseCL as its contrastive loss on ImageNet's training images, with a meta step on every fourth batch.
#     python -m pretrain configs/pretrain/metamask_densecl_r50_imagenet_200e.py --data imagenet/train --work-dir runs/a
# Hardware: GPUs with bf16. Time: about 1.7 times that of simclr_r50_imagenet_200e. Memory: about 45 GB for all 256
# images on one GPU. Estimates from ResNet-50's published training speed, not measured with this config.
_base_ = "densecl_r50_imagenet_200e.py"
method = "metamask_densecl"
meta = dict(every=4)
