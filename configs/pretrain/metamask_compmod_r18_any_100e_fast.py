# The joint method at little more than the cost of its base: look-ahead, a meta step every fourth batch.
#     python -m pretrain configs/pretrain/metamask_compmod_r18_any_100e_fast.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: about 1.15 times barlow_simclr's iteration on 2 cores (measured).
_base_ = "base_r18_any.py"
method = "metamask_compmod"
# The real step is the trial step, and the next batch judges it (docs/method.md, section 3).
meta = dict(look_ahead=True, trial="lower", upper="lower", every=4)
