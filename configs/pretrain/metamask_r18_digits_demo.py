# MetaMask on the demo's 600 images of digits on photographs: what `make demo` runs.
#     python -m pretrain configs/pretrain/metamask_r18_digits_demo.py --data DIR/unlabeled --work-dir runs/a
# Hardware: 2 CPU cores or any GPU. Time: about 7 minutes on 2 cores.
_base_ = "base_r18_any.py"
method = "metamask"
objective = dict(redundancy_widths=(512, 512, 512), contrastive_widths=(512, 128))
meta = dict(every=4)  # every batch would triple the time of a demo
schedule = dict(epochs=12)
data = dict(workers=1)
views = dict(size=64, crop_min=0.2)
run = dict(log_every=9, checkpoint_every=54)
