"""Whole pretrainings as processes of their own: started, watched, killed and resumed.

A fork server imports everything once, so that a start costs as little as a training of nine small iterations.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from unittest.mock import patch

import cv2
import numpy as np
import torch

from pretrain.backbones import load_backbone
from pretrain.training.checkpoint_files import find_checkpoints

CONFIG = """
method = "metamask_compmod"
backbone = dict(arch="resnet18")
objective = dict(redundancy_widths=(16, 16), contrastive_widths=(16, 16), coding_distortion=0.3)
optimizer = dict(lr=0.01)
meta = dict(every=2)
schedule = dict(epochs=3, warmup_epochs=0.5)
data = dict(batch=4, workers=0)
views = dict(size=32)
run = dict(log_every=1, checkpoint_every=3)
"""
ITERATIONS = 9

_processes = multiprocessing.get_context("forkserver")
_MODULES = ["pretrain.training.train", "pretrain.commands.train", "pretrain.__main__", "torch.utils.tensorboard"]
_processes.set_forkserver_preload(_MODULES)


def write_inputs(folder):
    """A config and a folder of 14 images."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for k in range(14):
        cv2.imwrite(str(folder / "images" / f"{k:02d}.png"), rng.integers(0, 255, (40, 50, 3), np.uint8))
    (folder / "tiny.py").write_text(CONFIG)


def arguments(inputs, work, *flags, options=()):
    """The command line of a training."""
    argv = [str(inputs / "tiny.py"), "--data", str(inputs / "images"), "--work-dir", str(work), *flags]
    return [*argv, *(["--cfg-options", *options] if options else [])]


def free_port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Run:
    """A training in one or several processes; what they print goes to ``WORK.log``.

    ``constants`` are those of modules that take other values there: module -> name -> value.
    """

    def __init__(self, inputs, work, *flags, processes=1, options=(), constants=None):
        self.work, self.log = work, work.with_name(f"{work.name}.log")
        self.began = time.time()
        meeting = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        argv = arguments(inputs, work, *flags, options=options)
        self.processes = [
            _processes.Process(
                target=_enter,
                args=(argv, str(self.log), {**meeting, "RANK": str(k), "LOCAL_RANK": str(k)}, constants or {}),
            )
            for k in range(processes)
        ]
        for process in self.processes:
            process.start()

    def wait(self, seconds=900):
        """The exit codes."""
        for process in self.processes:
            process.join(seconds)
        assert not any(p.is_alive() for p in self.processes), f"still running: {self.logs()}"
        return [p.exitcode for p in self.processes]

    def ends_well(self):
        """Wait, and see that it did."""
        assert set(self.wait()) == {0}, self.logs()
        return self

    def signal(self, signum, ranks=None):
        """A signal to some ranks, by default all."""
        for process in self.processes if ranks is None else [self.processes[k] for k in ranks]:
            if process.is_alive():
                os.kill(process.pid, signum)

    def kill(self):
        """SIGKILL to all ranks at once; their exit codes."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def until(self, condition, seconds=900):
        """Wait until something holds or all processes have ended."""
        end = time.monotonic() + seconds
        while not condition() and any(p.is_alive() for p in self.processes):
            assert time.monotonic() < end, f"waited too long: {self.logs()}"
            time.sleep(0.002)

    def done(self):
        """Iterations that ``metrics.jsonl`` tells of."""
        path = self.work / "metrics.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def writing(self):
        """Whether a checkpoint is being written at this moment, or was when this run was killed."""
        for partial in (self.work / "checkpoints").glob(".iteration_*.partial"):
            with contextlib.suppress(FileNotFoundError):  # it became whole just now
                if partial.stat().st_mtime > self.began:  # an earlier run may have left one
                    return True
        return False

    def logs(self):
        """Everything printed so far."""
        return self.log.read_text() if self.log.exists() else ""


def _enter(argv, log, environment, constants):
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(environment)
    for signum in (signal.SIGINT, signal.SIGTERM):  # a fork server ignores Ctrl-C
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    torch.set_num_threads(1)
    from pretrain.__main__ import main

    for module, values in constants.items():
        patch.multiple(module, **values).start()
    sys.exit(main(argv))


def final_state(work):
    """The weights and buffers of a finished run's last checkpoint, and those of the file that it left."""
    saved = torch.load(find_checkpoints(work / "checkpoints")[-1], weights_only=True)
    assert saved["meta"]["iter"] == ITERATIONS
    backbone = load_backbone(work / "backbone.safetensors")[0].state_dict()
    momenta = {
        f"{name}.{k}.{what}": value
        for name, optimizer in saved["optimizer"].items()
        for k, state in optimizer["state"].items()
        for what, value in state.items()
        if isinstance(value, torch.Tensor)
    }
    return {**saved["state_dict"], **{f"file.{k}": v for k, v in backbone.items()}, **momenta}


def assert_same_to_the_bit(work, other):
    """Two finished runs: weights, running statistics, momenta, and the losses of every iteration."""
    a, b = final_state(work), final_state(other)
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []
    lines = [[json.loads(line) for line in (w / "metrics.jsonl").read_text().splitlines()] for w in (work, other)]
    assert len(lines[0]) == len(lines[1]) == ITERATIONS
    for x, y in zip(*lines, strict=True):
        assert (x["iteration"], x["loss"]) == (y["iteration"], y["loss"])
