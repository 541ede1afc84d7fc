"""What is kept of one finished run: plain data, in the order in which the file shows it.

Null means "not measured" or "not known"; it is never 0 and never -1. `record_file` reads and writes the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transfer.files.decode import OPTIONAL

SCHEMA = "transfer.record/2"
TASKS = ("bbox", "segm")
METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
FREQUENCIES = ("APr", "APc", "APf")
RECALLS = ("AR1", "AR10", "AR100", "AR300", "ARs", "ARm", "ARl")
ALL_METRICS = (*METRICS, *FREQUENCIES, *RECALLS)
# What computes the metrics of detections (transfer/evaluation/engines.py), the usual one first.
ENGINES = ("hotcoco", "pycocotools")
# The start that others are compared with where nobody names one, and the val sets drawn for an interval.
BASELINE = "random"
RESAMPLES = 1000
PROTOCOLS = ("coco", "lvis", "cityscapes", "voc2007", "voc2012")


@dataclass(frozen=True)
class Weights:
    """The backbone a run started from.

    Attributes:
        file: path as the user gave it.
        sha256: of the file's bytes, in hexadecimal.
        loaded: model tensors that the file filled.
        expected: model tensors that a complete backbone, or detector, fills; ``loaded + drawn_anew == expected`` in an
            honest run.
        method: the pretraining method that the file names, null when it names none.
        metadata: what else the file says about itself.
        drawn_anew: model tensors of heads whose classes or anchors are others than the file's.
    """

    file: str
    sha256: str
    loaded: int
    expected: int
    method: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    drawn_anew: int = field(default=0, metadata={OPTIONAL: True})


@dataclass(frozen=True)
class Config:
    """The detector's config: its file, and the SHA-256 of the resolved text, with every override applied."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Split:
    """One half of the data: where it lies (several sets joined by ``" + "``), what it holds and its fingerprint.

    Of a COCO-format set ``annotations`` is the ground-truth file and ``fingerprint`` the SHA-256 of its bytes.
    """

    images: str
    annotations: str
    fingerprint: str
    n_images: int
    n_instances: int
    classes: list[str]


@dataclass(frozen=True)
class Leaks:
    """How many val images training or pretraining has seen; the first three kinds exclude each other.

    Attributes:
        same_file: are training images too.
        same_bytes: have the content of a training image.
        same_name: have the file name of a training image, with another content.
        pretraining: lie in the data that the weights were pretrained on, as far as the weights say.
    """

    same_file: int
    same_bytes: int
    same_name: int
    pretraining: int


@dataclass(frozen=True)
class Data:
    """What the detector was trained on (null where that is not known) and measured on.

    ``leaks`` is null where nobody looked, as in records from before there was such a look.
    """

    train: Split | None
    val: Split
    leaks: Leaks | None = field(default=None, metadata={OPTIONAL: True})


@dataclass(frozen=True)
class Schedule:
    """The training budget: iterations, images per iteration, peak learning rate, its drops and its warm-up.

    ``backbone_lr_factor`` is the learning rate of the backbone relative to that of the rest.
    """

    max_iter: int
    batch: int
    base_lr: float
    steps: list[int]
    warmup: int
    backbone_lr_factor: float = field(default=1.0, metadata={OPTIONAL: True})


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds of the run's two parts, null where not measured.

    ``evaluate`` of a fine-tuning run holds the detector's own work on the val images; of ``transfer evaluate`` it is
    the time from the two files to the metrics.
    """

    train: float | None
    evaluate: float | None


@dataclass(frozen=True)
class Cost:
    """What the detector costs.

    Attributes:
        parameters: numbers in the model.
        trainable: those among them that training changes.
        flops: fvcore's count for one image, at the size the test-time resizing gives it; one multiply-add counts as
            one. Mean over ``flops_images``, because the number of proposals belongs to the image.
        flops_images: how many of the first val images that mean is over.
        peak_memory: bytes. On a GPU the most that PyTorch had allocated on the first device at one time; on the CPU
            the most physical memory the process had at one time.
    """

    parameters: int | None = None
    trainable: int | None = None
    flops: int | None = None
    flops_images: int | None = None
    peak_memory: int | None = None


@dataclass(frozen=True)
class Counts:
    """What was measured on.

    Attributes:
        images: images of the ground truth.
        objects: annotated objects, without crowds.
        crowds: regions with ``iscrowd``: a detection inside one counts neither as right nor as wrong. Null for VOC,
            whose difficult objects are among ``objects``.
        classes: classes with at least one object; AP is the mean over these.
        detections: detections given, before any limit per image; null when they are not known.
    """

    images: int
    objects: int
    crowds: int | None
    classes: int
    detections: int | None


@dataclass(frozen=True)
class Tide:
    """How many points of AP at IoU 0.5 each kind of error costs (Bolya et al., TIDE, ECCV 2020).

    Each is the AP without that one kind of error minus ``ap50``: alone, so they do not add up to 100 - ``ap50``.

    Attributes:
        ap50: AP at IoU 0.5 in percent, all sizes, as ``metrics`` has it.
        classification: right place, wrong class.
        localisation: right class, IoU between 0.1 and 0.5.
        both: wrong class and IoU between 0.1 and 0.5.
        duplicate: right, but a better detection has the object already.
        background: IoU below 0.1 with every object.
        missed: an object that no detection above stands for.
        false_positive: all wrong detections together.
        false_negative: all objects without a right detection together.
    """

    ap50: float
    classification: float
    localisation: float
    both: float
    duplicate: float
    background: float
    missed: float
    false_positive: float
    false_negative: float


@dataclass(frozen=True)
class Record:
    """One finished run.

    Attributes:
        name: what the user calls the run; the output folder's name unless given.
        init: "random", the pretraining method, or the stem of the weights' file: what a report groups by.
        seed: the training seed, null when none was fixed.
        weights: null when ``init`` is "random", and where it is not known.
        config: null where it is not known.
        data: what the run was trained and measured on.
        schedule: null where it is not known.
        label_fraction: share of the training images whose labels were used, in (0, 1]; null when not known.
        protocol: the rules of the metric, one of PROTOCOLS.
        engine: what computed the metrics: "hotcoco", "pycocotools", "pascal" (ours) or "detectron2 KIND".
        cross_check: largest difference to the other engine over all metrics and classes in percentage points, null
            when only one engine was asked.
        metrics: task ("bbox", "segm") -> metric (ALL_METRICS) -> percent, null where not measured. APs, APm, APl and
            ARs, ARm, ARl are over objects below 32², up to 96² and above 96² pixels; AR1 ... AR300 with at most that
            many detections per image; APr, APc, APf over LVIS's rare, common and frequent classes.
        per_class: task -> class name -> AP in percent, null where the class has no object.
        tide: task -> what each kind of error costs, null where not measured.
        counts: what was measured on, in numbers.
        detections: COCO results file, relative to the record's folder; null when there is none.
        detections_sha256: of that file's bytes.
        versions: package -> version.
        device: in words, e.g. "CPU, 2 threads" or the GPU's name.
        seconds: how long it took.
        cost: what the detector costs.
    """

    name: str
    init: str
    seed: int | None
    weights: Weights | None
    config: Config | None
    data: Data
    schedule: Schedule | None
    engine: str
    versions: dict[str, str]
    device: str
    seconds: Seconds
    metrics: dict[str, dict[str, float | None]]
    per_class: dict[str, dict[str, float | None]]
    detections: str | None
    counts: Counts
    label_fraction: float | None = 1.0
    protocol: str = "coco"
    cross_check: float | None = None
    tide: dict[str, Tide | None] = field(default_factory=lambda: dict.fromkeys(TASKS))
    detections_sha256: str | None = None
    cost: Cost = field(default_factory=Cost)
    schema: str = SCHEMA
