# DenseCL with CompMod: a network that completes both views' features, learned by bi-level optimisation.
#     python -m pretrain configs/pretrain/densecl_compmod_r18_any_100e.py --data DIR --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: about 2.3 times that of densecl (passes counted).
_base_ = "densecl_r18_any_100e.py"
method = "densecl_compmod"
