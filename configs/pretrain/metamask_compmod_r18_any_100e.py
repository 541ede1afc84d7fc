# The joint method: MetaMask with CompMod's regulariser, both upper variables from one trial step.
#     python -m pretrain configs/pretrain/metamask_compmod_r18_any_100e.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: about 3.2 times barlow_simclr's iteration on 2 cores (measured).
# For a short run take fast: six minutes of one core gave this one 159 iterations where SimCLR had 525.
_base_ = "base_r18_any.py"
method = "metamask_compmod"
