# ResNet-18 on any folder of small images; base of the *_r18_any_100e configs, not a method of its own.
# Learning rates are for the batch as it is. A loss of weight 10 brings ten times the gradient, hence the lower rate
# of the methods that have one.
backbone = dict(arch="resnet18", stem="imagenet")
objective = dict(redundancy_widths=(1024, 1024, 1024), contrastive_widths=(512, 128), bootstrap_widths=(1024, 128))
optimizer = dict(name="sgd", lr=0.03, momentum=0.9, weight_decay=5e-4)
schedule = dict(epochs=100, warmup_epochs=1)
data = dict(batch=64, workers=2)
views = dict(size=64)
run = dict(log_every=20, checkpoint_every=500)
