"""The ordinary commands that a study is made of, from the study file to each command's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer import __version__
from transfer.records.record_file import FILE_NAME
from transfer.studies.data_sets import DataSet
from transfer.studies.fingerprints import key_of
from transfer.studies.inputs import Inputs, override_words
from transfer.studies.schema import ALL, RANDOM, Study
from transfer.studies.starts import options
from transfer.studies.step import CONVERT, DATA, FINETUNE, PRETRAIN, PROBE, SPEED, Step

BACKBONE = "backbone.safetensors"


@dataclass(frozen=True)
class Course:
    """How one start is trained, beyond what the study file says of it: what the terms give it.

    Attributes:
        pretrain: options of the pretraining.
        finetune: keys of the detector config.
        schedule: factor on the length of the fine-tuning.
    """

    pretrain: Mapping[str, Any]
    finetune: Mapping[str, Any]
    schedule: float = 1.0


PLAIN = Course({}, {})


@dataclass(frozen=True)
class Steps:
    """Makes the steps of one study, all of whose files lie below ``out``."""

    study: Study
    inputs: Inputs
    out: Path

    def data(self) -> tuple[Step, ...]:
        """The step that composes the study's own data; none where the user has given data."""
        digits = self.study.data.digits
        if digits is None:
            return ()
        folder = self.out / "data" / f"digits_{self.inputs.data.key}"
        counts = [w for name, value in vars(digits).items() for w in (f"--{name}", str(value))]
        arguments = ("-m", "transfer.demo.digits", "--out", str(folder), *counts)
        product = folder / "coco/annotations/instances_val.json"  # the folder appears whole
        return (self._step(DATA, "digits", arguments, product, self.inputs.data.key, ()),)

    def speed(self, name: str, turn: int) -> Step:
        """The step that measures a few iterations of a start's pretraining, whatever the length of the run."""
        course = Course({"schedule.iterations": "none", "schedule.epochs": 1}, {})
        product = self.out / SPEED / f"{name}_{self._pretraining_key(name, 0, course)}_{turn}.txt"
        arguments = (*self._pretraining(name, 0, course, self.out / SPEED / "none"), "--dry-run")
        return self._step(SPEED, f"{name}_{turn}", arguments, product, product.stem, self.data(),
                          gpus=self.study.gpus, captured=True)  # fmt: skip

    def pretrain(self, name: str, seed: int, course: Course = PLAIN, suffix: str = "") -> Step:
        """The step that pretrains a start with one seed; an interrupted one goes on."""
        key = self._pretraining_key(name, seed, course)
        work = self.out / PRETRAIN / f"{name}_seed_{seed}{suffix}_{key}"
        arguments = (*self._pretraining(name, seed, course, work), "--resume")
        return self._step(PRETRAIN, f"{name}_seed_{seed}{suffix}", arguments, work / BACKBONE, key, self.data(),
                          gpus=self.study.gpus)  # fmt: skip

    def convert(self, name: str, pretrained: Step | None, suffix: str = "") -> Step:
        """The step that makes Detectron2's file, of a pretraining or of the start's own file."""
        start = self.study.starts[name]
        source = str(pretrained.product) if pretrained else str(start.file)
        key = key_of(__version__, pretrained.key if pretrained else self.inputs.keys[name], start.convention)
        label = f"{name}{pretrained.name.removeprefix(name) if pretrained else suffix}"
        out = self.out / CONVERT / f"{label}_{key}.pth"
        arguments = ["-m", "transfer", "convert", source, "--to", "detectron2", "--out", str(out)]
        arguments += ["--convention", start.convention] if start.convention else []
        return self._step(CONVERT, label, tuple(arguments), out, key, (pretrained,) if pretrained else (), gpus=0)

    def finetune(
        self, name: str, seed: int, labels: str, weights: Step | None, course: Course = PLAIN,
        data: DataSet | None = None, suffix: str = "",
    ) -> Step:  # fmt: skip
        """The step that trains a detector with a share of the labels and measures it; an interrupted one goes on."""
        study, data = self.study, data or self.inputs.data
        detector = study.detector
        flags = ["--freeze-backbone"] if detector.freeze_backbone else []
        flags += ["--amp"] if detector.amp else []
        flags += ["--channels-last"] if detector.channels_last else []
        flags += ["--lr", str(detector.lr)] if detector.lr is not None else []
        if detector.backbone_lr_factor is not None:
            flags += ["--backbone-lr-factor", f"{detector.backbone_lr_factor:g}"]
        flags += ["--lr-scale", detector.lr_scale] if detector.lr_scale else []
        flags += ["--labels", labels, "--labels-seed", str(study.labels_seed)] if labels != ALL else []
        scale = self.scale(labels) * course.schedule
        flags += ["--schedule-scale", f"{scale:g}"] if scale != 1 else []
        words = override_words({**detector.options, **course.finetune})
        initial, initial_key = self._initial(name, weights)
        key = key_of(__version__, self.inputs.detector_key, seed, data.key, initial_key, flags, words)
        label = f"{name}_seed_{seed}_labels_{labels.replace('%', '_percent')}{suffix}"
        folder = self.out / FINETUNE / f"{label}_{key}"
        arguments = ["-m", "transfer.train_net", "--config-file", detector.config]
        arguments += [*initial, "--seed", str(seed), *data.arguments, *flags]
        arguments += ["--num-gpus", str(detector.gpus)] if detector.gpus > 1 else []
        arguments += ["--name", label, "--resume", "OUTPUT_DIR", str(folder), *words]
        needs = (*self.data(), *((weights,) if weights else ()))
        return self._step(FINETUNE, label, tuple(arguments), folder / FILE_NAME, key, needs, gpus=detector.gpus)

    def _initial(self, name: str, weights: Step | None) -> tuple[list[str], object]:
        """The flags that give a start's weights to ``train_net``, and what changes with them."""
        start = self.study.starts[name]
        if start.detector is None:
            return ["--init", str(weights.product) if weights else RANDOM], weights.key if weights else RANDOM
        flags = ["--convention", start.convention] if start.convention else []
        flags += ["--allow-partial"] if start.allow_partial else []
        return ["--init-detector", start.detector, *flags], [self.inputs.keys[name], flags]

    def probe(self, name: str, seed: int, protocol: str, pretrained: Step | None) -> Step:
        """The step that judges a backbone's frozen features."""
        probes = self.study.probes
        assert probes is not None
        weights = str(pretrained.product) if pretrained else f"{RANDOM}:{self.inputs.arch[name]}"
        flags = ["--data", probes.data, "--protocol", protocol, "--seed", str(seed)]
        flags += ["--size", str(probes.size)] if probes.size else []
        key = key_of(
            __version__, pretrained.key if pretrained else self.inputs.arch[name], flags, self.inputs.probes_key
        )
        out = self.out / PROBE / f"{name}_seed_{seed}_{protocol}_{key}.json"
        arguments = ("-m", "pretrain", "evaluate", weights, *flags, "--out", str(out))
        return self._step(PROBE, f"{name}_seed_{seed}_{protocol}", arguments, out, key,
                          (pretrained,) if pretrained else ())  # fmt: skip

    def scale(self, labels: str) -> float:
        """Length of a fine-tuning with this share of the labels, relative to the config's."""
        scale = self.study.detector.schedule_scale
        if isinstance(scale, dict):
            return scale[labels]
        return 1.0 if scale is None else scale

    def _pretraining(self, name: str, seed: int, course: Course, work: Path) -> tuple[str, ...]:
        start = self.study.starts[name]
        run: tuple[str, ...] = ("-m", "pretrain")
        if self.study.gpus > 1:
            run = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={self.study.gpus}", *run)
        words = [*_without(options(start), course.pretrain), *(f"{k}={v}" for k, v in course.pretrain.items())]
        init = ("--init", start.init) if start.init else ()
        return (*run, str(start.pretrain), "--data", *self.inputs.unlabelled, "--work-dir", str(work), *init,
                "--cfg-options", *words, f"run.seed={seed}")  # fmt: skip

    def _pretraining_key(self, name: str, seed: int, course: Course) -> str:
        settings, init = self.inputs.settings[name], self.inputs.keys.get(name)
        return key_of(
            __version__, settings, dict(course.pretrain), seed, self.inputs.unlabelled_key, init, self.study.gpus
        )

    def _step(
        self, kind: str, name: str, arguments: tuple[str, ...], product: Path, key: str, needs: tuple[Step, ...],
        gpus: int = 1, captured: bool = False,
    ) -> Step:  # fmt: skip
        log = self.out / "logs" / f"{kind}_{name}_{key}.log"
        return Step(kind, name, key, arguments, product, log, needs, gpus, captured)


def _without(words: Sequence[str], replaced: Mapping[str, Any]) -> list[str]:
    return [word for word in words if word.partition("=")[0] not in replaced]
