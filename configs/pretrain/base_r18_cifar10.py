# ResNet-18 on CIFAR-10 in the setting of MetaMask's release; base of the *_r18_cifar10_* configs, not a method.
# 3x3 stem without pooling; crops of 0.08-1 of the image, flip, jitter, grey, no blur. The papers' plain sums of losses,
# MetaMask's trial step, and SGD for w, m and xi alike.
_base_ = "base_r18_any.py"
backbone = dict(stem="small")
objective = dict(
    balance="none",
    temperature=0.07,
    redundancy_widths=(2048, 2048, 2048),
    contrastive_widths=(2048, 256),
    bootstrap_widths=(4096, 256),
    predictor_width=4096,
    unbiased=True,  # the release standardises so
    standardise_eps=0.0,
)
meta = dict(trial="meta", optimizer="sgd", clip=None)
optimizer = dict(name="sgd", lr=1e-3, momentum=0.9, weight_decay=5e-4)
schedule = dict(epochs=800, warmup_epochs=0)
data = dict(batch=512, workers=8)
views = dict(size=32)
run = dict(log_every=50, checkpoint_every=2000)
