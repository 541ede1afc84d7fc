# MetaMask with DenseCL as its contrastive loss: the mask weighs the features of every cell, and both judge it.
#     python -m pretrain configs/pretrain/metamask_densecl_r18_any_100e.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: about 3.3 times that of densecl (passes counted); meta.every=4 halves it.
_base_ = "densecl_r18_any_100e.py"
method = "metamask_densecl"
