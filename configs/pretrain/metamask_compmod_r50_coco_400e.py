# The joint method on COCO's train2017 and unlabeled2017 together: 241,690 images, no annotation of theirs is read.
#     python -m pretrain configs/pretrain/metamask_compmod_r50_coco_400e.py --work-dir runs/a \
#         --data coco/train2017 coco/unlabeled2017
# --annotations instances_train2017.json takes only the images that a COCO file lists.
# Hardware: GPUs with bf16. Time: about 27 hours on one A100 (80 GB). Memory: about 35 GB for all 256 images on one GPU.
# Estimates from ResNet-50's published training speed, not measured with this config.
_base_ = "base_r50_imagenet.py"
method = "metamask_compmod"
meta = dict(every=4)
views = dict(crop_min=0.2)  # scenes of many objects: a crop of 8 % rarely shares one with the other view
schedule = dict(epochs=400)
