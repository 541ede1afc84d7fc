# ResNet-18 on any folder of small images; base of the *_r18_any_100e configs, not a method of its own.
# The losses are balanced (docs/method.md, section 3), so that one optimiser serves all methods. AdamW at 1e-3 is
# provisional: on CIFAR-10 (n = 64, 32 px) SimCLR's loss after 40 iterations is 3.96 with it and 4.68 with SGD at 0.3.
backbone = dict(arch="resnet18", stem="imagenet")
objective = dict(
    temperature=0.2,  # 0.07 was tuned for 512 images a batch; provisional
    redundancy_widths=(1024, 1024, 1024),
    contrastive_widths=(512, 128),
    bootstrap_widths=(1024, 128),
    dense_widths=(512, 128),
    predictor_width=1024,
)
optimizer = dict(name="adamw", lr=1e-3, weight_decay=0.01)
schedule = dict(epochs=100)  # warm-up: 5 % of the run, at most an epoch
data = dict(batch=64, workers=2)
views = dict(size=64)
run = dict(log_every=20, checkpoint_every=500)
