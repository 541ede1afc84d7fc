# ResNet-50 on images of ImageNet's kind and size; base of the *_r50_imagenet_* configs, not a method of its own.
# Views as in SimCLR (Chen et al. 2020, appendix A: colour strength 1, blur with probability 0.5). Learning rate by
# MoCo's rule, 0.03 for each 256 images (He et al. 2020); clipped for the reason in base_r18_any.py.
backbone = dict(arch="resnet50", stem="imagenet")
optimizer = dict(name="sgd", lr=0.03, momentum=0.9, weight_decay=1e-4, clip=1.0)
schedule = dict(epochs=100, warmup_epochs=10)
data = dict(batch=256, workers=12)
views = dict(size=224, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, blur=0.5)
run = dict(precision="bf16", log_every=50, checkpoint_every=2000, keep=3)
