# MetaMask: redundancy reduction + contrastive loss, and a dimensional mask learned by meta-learning.
#     python -m pretrain configs/pretrain/metamask_r18_any_100e.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: see the results page; meta.every=4 halves it.
_base_ = "base_r18_any.py"
method = "metamask"
