# MetaMask: redundancy reduction + contrastive loss, and a dimensional mask learned by meta-learning.
#     python -m pretrain configs/pretrain/metamask_r18_any_100e.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: see the results page; meta.every=4 halves it.
# In a short run the mask hardly leaves 0.5 (5 to 95 %: 0.489 to 0.509 after 176 iterations, docs/evidence.md), while a
# meta step takes the time of two iterations without: say meta.every=4 there.
_base_ = "base_r18_any.py"
method = "metamask"
