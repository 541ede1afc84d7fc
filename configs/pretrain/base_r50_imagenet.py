# ResNet-50 on images of ImageNet's kind and size; base of the *_r50_imagenet_* configs, not a method of its own.
# Views as in SimCLR (Chen et al. 2020, appendix A: colour strength 1, blur with probability 0.5). Balanced losses and
# AdamW as in base_r18_any.py; provisional, no run of this size has been made.
backbone = dict(arch="resnet50", stem="imagenet")
objective = dict(temperature=0.2)
optimizer = dict(name="adamw", lr=1e-3, weight_decay=0.01)
schedule = dict(epochs=100)
data = dict(batch=256, workers=12)
views = dict(size=224, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, blur=0.5)
run = dict(precision="bf16", log_every=50, checkpoint_every=2000, keep=3)
