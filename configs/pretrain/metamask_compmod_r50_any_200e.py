# The joint method with ResNet-50 on any folder of photographs, from some ten thousand of them on.
#     python -m pretrain configs/pretrain/metamask_compmod_r50_any_200e.py --data DIR --work-dir runs/a
# From other weights rather than from nothing: --init FILE with --cfg-options optimizer.lr=1e-4.
# Hardware: one GPU of 24 GB with bf16. Time: about half an hour for each million images seen on an RTX 4090 (50,000
# images: 5 hours). Memory: about 18 GB. Estimates, not measured with this config; --dry-run measures yours.
_base_ = "base_r50_imagenet.py"
method = "metamask_compmod"
meta = dict(every=4)
optimizer = dict(lr=5e-4)
schedule = dict(epochs=200)
data = dict(batch=128, workers=8)
