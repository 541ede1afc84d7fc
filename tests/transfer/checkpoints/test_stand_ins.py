import numpy as np
import pytest

from transfer.checkpoints.stand_ins import Dtype, is_inert, plain_dtype


@pytest.mark.parametrize("code", ["f4", "<f4", ">f8", "=i2", "|u1", "?", "|b1", b"<i8", "c8", "c16", "f2"])
def test_plain_numbers(code):
    text = code.decode() if isinstance(code, bytes) else code
    assert plain_dtype(code) == Dtype(np.dtype(text))


@pytest.mark.parametrize(
    "code",
    ["O", "|O", "V8", "S3", "<U5", "M8[ns]", "m8", "f4,i4", "(2,)f4", "f16", "f4\n", "f٤", "", None, 4, [("a", "f4")]],
)
def test_whatever_else_a_file_names_has_no_plain_numbers(code):
    assert plain_dtype(code) == Dtype(None)


@pytest.mark.parametrize(
    "name",
    ["argparse.Namespace", "omegaconf.dictconfig.DictConfig", "datetime.datetime", "pathlib.PosixPath", "numpy.float64",
     "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", "mmengine.logging.history_buffer.HistoryBuffer",
     "collections.deque", "torch.optim.sgd.SGD", "numpy.random._pickle.__randomstate_ctor", "typing.Any"],
)  # fmt: skip
def test_extras_of_training_scripts_are_inert(name):
    assert is_inert(*name.rsplit(".", 1))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "__import__"),
        ("subprocess", "Popen"),
        ("omegaconf", "os.system"),
        ("omegaconf", "omegaconf"),
        ("omegaconfig", "Evil"),
        ("argparse", "_sys"),
        ("pathlib", "Path.unlink"),
        ("collections", "namedtuple"),
        ("torch.optim", "lr_scheduler"),
        ("numpy", "load"),
        ("torch", "load"),
        ("torch.hub", "Load"),
        ("mmengine", "Config\n"),
    ],
)
def test_functions_attributes_and_other_packages_are_not(module, name):
    assert not is_inert(module, name)
