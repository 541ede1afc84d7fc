# The joint method on images of about 32 pixels (CIFAR's kind): 3x3 stem, no pooling, the views of MetaMask's release.
#     python -m pretrain configs/pretrain/metamask_compmod_r18_small_800e.py --data DIR --work-dir runs/a
# DIR: a folder of image files; batch and epochs are those of MetaMask's CIFAR-10 runs, the objective is balanced.
# Hardware: one GPU of 12 GB. Time: about 12 hours for 50,000 images on an RTX 3090. Memory: about 10 GB. Estimates, not
# measured with this config; on two CPU cores it would take months.
_base_ = "base_r18_any.py"
method = "metamask_compmod"
backbone = dict(stem="small")
objective = dict(redundancy_widths=(2048, 2048, 2048), contrastive_widths=(2048, 256))
meta = dict(every=4)
schedule = dict(epochs=800)
data = dict(batch=512, workers=8)
views = dict(size=32)
run = dict(log_every=50, checkpoint_every=2000)
