import errno

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from pretrain.errors import InputError, one_line, outside_fault


class Failing(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, k):
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("--data: expected images, found none; add some"), InputError),
        (OSError(5, "broken", "x.jpg"), OSError),
    ],
    ids=["input", "system"],
)
def test_an_error_of_a_real_loader_process_is_one_line(error, kind):
    with pytest.raises(kind) as raised:
        next(iter(DataLoader(Failing(error), num_workers=1)))
    assert "\n" in str(raised.value)
    assert one_line(raised.value) == str(error)


def test_an_error_of_the_system_names_its_file():
    error = OSError(errno.EROFS, "Read-only file system", "/run/a.json")
    assert one_line(error) == "/run/a.json: Read-only file system"
    assert "found /run/a.json: Read-only file system" in outside_fault(error)
    assert one_line(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "expected more memory, found MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee"), "found CUDA out of memory."),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "expected more memory"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "expected the loader processes to"),
    ],
)
def test_what_the_machine_refuses_is_one_line(error, words):
    line = outside_fault(error)
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("x"), KeyError("x"), AssertionError()])
def test_a_fault_of_the_program_stays_one(error):
    assert outside_fault(error) is None
