# MetaMask on the demo's 96 px images of digits on photographs.
#     python -m pretrain configs/pretrain/metamask_r18_digits_demo.py --data DIR --work-dir runs/a
method = "metamask"
backbone = dict(arch="resnet18", stem="imagenet")
objective = dict(redundancy_widths=(512, 512, 512), contrastive_widths=(512, 128))
optimizer = dict(name="sgd", lr=0.03, momentum=0.9, weight_decay=5e-4)
schedule = dict(epochs=15, warmup_epochs=1)
data = dict(batch=64, workers=2)
views = dict(size=64, crop_min=0.2)
run = dict(log_every=5, checkpoint_every=100)
