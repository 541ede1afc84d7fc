# MetaMask on CIFAR-10, as in its release.
#     python -m pretrain configs/pretrain/metamask_r18_cifar10_800e.py --data DIR --work-dir runs/a
#     python -m pretrain evaluate runs/a/backbone.safetensors --data DIR --protocol knn --out runs/a/knn.json
# DIR: where cifar-10-batches-py lies, unpacked; only its training split is trained on.
# Published (Li et al. 2022): 86.01 % by weighted 5-nn, but on masked features and at the epoch that is best on the test
# split; what `evaluate` measures is the raw h of the last epoch, another quantity (docs/probes.md).
# Hardware: one GPU of 12 GB. Time: one to two days on an RTX 3090 (estimated, not measured).
_base_ = "base_r18_cifar10.py"
method = "metamask"
meta = dict(start=0)  # from the first batch, as the release does
