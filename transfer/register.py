"""Names that this project's configs use and Detectron2 lacks; ``import transfer.register`` makes them known to it.

Detectron2's own ``train_net.py`` needs nothing else of this package to run the configs that name them: the C4 heads
and the small stem of `transfer.detectors.parts`, and VOC 2012's instance masks of `transfer.data.voc_instances`.
"""

import transfer.data.voc_instances
import transfer.detectors.parts  # noqa: F401  both register on import
