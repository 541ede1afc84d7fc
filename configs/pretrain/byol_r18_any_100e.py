# BYOL: predicts a slowly moving copy of itself; no negatives.
#     python -m pretrain configs/pretrain/byol_r18_any_100e.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: 1.1 times SimCLR's iteration (the target's forward passes).
_base_ = "base_r18_any.py"
method = "byol"
