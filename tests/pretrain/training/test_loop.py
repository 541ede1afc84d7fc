from torch import nn
from torch.utils.data import DataLoader, Dataset

from pretrain.data.order import BatchOrder
from pretrain.training.loop import ResumableLoop


class Keys(Dataset):
    """What is asked for: (epoch, image number)."""

    def __len__(self):
        return 12

    def __getitem__(self, key):
        return key


class Runner:
    """The part of MMEngine's runner that a loop talks to."""

    def __init__(self):
        self.model, self.hooks, self.batches = nn.Module().eval(), [], []

    def call_hook(self, name, **_):
        self.hooks.append(name)


def run(start):
    runner = Runner()
    loader = DataLoader(Keys(), batch_sampler=BatchOrder(12, 2, 5, seed=0), collate_fn=list)
    loop = ResumableLoop(runner, loader, max_iters=5)
    loop._iter = start
    loop.run_iter = runner.batches.append
    assert loop.run() is runner.model
    return runner


def test_it_loads_what_is_left_and_nothing_before():
    whole = list(BatchOrder(12, 2, 5, seed=0))
    assert run(0).batches == whole
    assert run(3).batches == whole[3:]
    assert run(5).batches == []


def test_the_hooks_stand_around_it_and_the_model_trains():
    runner = run(0)
    assert runner.hooks == ["before_train", "before_train_epoch", "after_train_epoch", "after_train"]
    assert runner.model.training
