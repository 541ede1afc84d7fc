# BYOL with CompMod on CIFAR-10.
#     python -m pretrain configs/pretrain/byol_compmod_r18_cifar10_1000e.py --data DIR --work-dir runs/a
#     python -m pretrain evaluate runs/a/backbone.safetensors --data DIR --protocol knn --out runs/a/knn.json
# DIR: where cifar-10-batches-py lies, unpacked; only its training split is trained on.
# Published (Guo et al. 2024, table 1; linear probe / 5-nn): 93.96 / 91.53 %, BYOL alone 91.73 / 89.45 %.
# The paper gives neither batch, learning rate, temperature nor epochs: batch and views are MetaMask's, the rest is our
# reading, unproven.
# Hardware: one GPU of 12 GB. Time: one to two days on an RTX 3090 (estimated, not measured).
_base_ = "base_r18_cifar10.py"
method = "byol_compmod"
optimizer = dict(lr=0.06, clip=1.0)  # a sum of losses: its first gradients would ruin the weights
schedule = dict(epochs=1000, warmup_epochs=10)
