# ResNet-18 on any folder of small images; base of the *_r18_any_100e configs, not a method of its own.
# The gradient is clipped: Barlow Twins' loss is a sum over a thousand dimensions, and in a network of batch norms its
# first gradients inflate the weights a hundredfold (conv1 from a norm of 2.4 to 306, measured), after which nothing
# learns any more, not in pretraining and not in fine-tuning. With a clip of 1 they keep their size.
# The learning rate is for 100 epochs. Runs below 3 epochs end lower at optimizer.lr=0.1 (n = 32: SimCLR's loss 3.63
# against 3.91 at 0.03, MetaMask's 804 against 1066; at 0.3 the contrastive loss rises; docs/evidence.md).
backbone = dict(arch="resnet18", stem="imagenet")
objective = dict(
    redundancy_widths=(1024, 1024, 1024),
    contrastive_widths=(512, 128),
    bootstrap_widths=(1024, 128),
    predictor_width=1024,
)
optimizer = dict(name="sgd", lr=0.03, momentum=0.9, weight_decay=5e-4, clip=1.0)
schedule = dict(epochs=100, warmup_epochs=1)
data = dict(batch=64, workers=2)
views = dict(size=64)
run = dict(log_every=20, checkpoint_every=500)
