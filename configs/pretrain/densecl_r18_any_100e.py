# DenseCL: beside the contrast of whole images that of single cells with their match in the other view's feature map.
#     python -m pretrain configs/pretrain/densecl_r18_any_100e.py --data DIR --work-dir runs/a
# Where whole images look alike (tiles of a microscope), this one has a reason to help. Views of 128 px: their last maps
# have 4 by 4 cells, those of 64 px 2 by 2.
# Hardware: 2 CPU cores or any GPU. Time: about 4 times SimCLR's iteration with views of 64 px, 1.01 times at
# the same size (operations counted).
_base_ = "base_r18_any.py"
method = "densecl"
views = dict(size=128)
