"""One thread for each of pytest's processes, set before torch is loaded; the inputs that several modules share."""

import logging
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(autouse=True)
def _loggers_stay_as_they_are():
    """What silences a logger gives it back: a run in the same process would otherwise miss its warnings."""
    loggers = [logging.getLogger(name) for name in ("transfer", "pretrain")]
    before = [(logger.level, logger.propagate, logger.disabled) for logger in loggers]
    yield
    assert before == [(logger.level, logger.propagate, logger.disabled) for logger in loggers]


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The words that give a fine-tuning run six images to train on and two to measure on; nothing may change them."""
    from tests.cases.coco_sets import write_coco

    folder = tmp_path_factory.mktemp("data")
    train, val = write_coco(folder / "train", 6), write_coco(folder / "val", 2, seed=1)
    return ["--train", *train, "--val", *val]


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    """A converted ResNet-18 (docs/design.md, contract 2), with values that no initialisation gives."""
    import torch

    from tests.cases.finetuning import converted

    file = tmp_path_factory.mktemp("weights") / "simclr.pth"
    torch.save(converted("resnet18"), file)
    return file


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """The folder of a pretraining's inputs (``tests.cases.runs.write_inputs``); nothing may change them."""
    from tests.cases.runs import write_inputs

    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.fixture
def image():
    """A smooth colour gradient with some texture, 60 x 90."""
    import numpy as np

    y, x = np.mgrid[0:60, 0:90]
    texture = np.random.default_rng(0).integers(0, 30, (60, 90, 1))
    return (np.stack([y * 3, x * 2, 200 - y], axis=-1) + texture).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photograph():
    """A photograph, 427 x 640."""
    from sklearn.datasets import load_sample_images

    return load_sample_images().images[0].copy()  # it comes read-only


@pytest.fixture(scope="module")
def one_thread():
    """One thread for torch, whatever the environment says."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def quick():
    """Believe that the processor's vector instructions work: trying them out takes most of a compiler's time."""
    import torch._functorch.config as aot
    import torch._inductor.config as inductor

    kept = {name: getattr(aot, name) for name in ("donated_buffer", "force_non_lazy_backward_lowering")}
    with inductor.patch("cpp.vec_isa_ok", True), aot.patch(**kept):
        yield  # what `Compiled` sets ends with the test
