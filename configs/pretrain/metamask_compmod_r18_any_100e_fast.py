# The joint method with a meta step every fourth batch: the same direction at about a quarter of the price.
#     python -m pretrain configs/pretrain/metamask_compmod_r18_any_100e_fast.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: see benchmarks.meta_step.
_base_ = "base_r18_any.py"
method = "metamask_compmod"
meta = dict(every=4)
