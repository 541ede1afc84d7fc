"""The smallest pretraining config that has every part of the joint method, as text."""

CONFIG = """
method = "metamask"
backbone = dict(arch="resnet18")
objective = dict(redundancy_widths=(16, 16), contrastive_widths=(16, 16), coding_distortion=0.3)
optimizer = dict(lr=0.01)
schedule = dict(epochs=2, warmup_epochs=0.5)
data = dict(batch=4, workers=0)
views = dict(size=32)
run = dict(log_every=2, checkpoint_every=3)
"""
