"""COCO, LVIS and VOC sets: read, checked and made known to Detectron2."""
