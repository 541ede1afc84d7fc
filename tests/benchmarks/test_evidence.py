"""The evidence experiment: its plan, its cells and their commands, its tables; one run of all of it is slow."""

import argparse
import dataclasses
import json
import signal
from pathlib import Path

import pytest

from benchmarks.evidence import __main__ as evidence
from benchmarks.evidence import page, plan, steps
from benchmarks.evidence.cells import COMPUTE, EPOCHS, cells, chain
from benchmarks.evidence.findings import Finding, collect, rank_correlation
from benchmarks.evidence.plan import Plan
from benchmarks.evidence.pretraining import Ending, command, ending, objects, schedule
from benchmarks.evidence.sets import Photographs, Split, cut
from benchmarks.evidence.sizes import CPU, GPU, SIZES
from benchmarks.evidence.steps import Step
from benchmarks.outputs import Failed
from pretrain.settings.config_files import read_config
from pretrain.settings.schema import load_settings
from tests.cases.fake_runs import make_run
from transfer.demo import digits

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

ALL = [init for size in (CPU, GPU) for init in (*size.inits, *size.parts) if init.config]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A set in the experiment's layout, of digits."""
    root = tmp_path_factory.mktemp("set") / "photographs"
    assert digits.main(["--out", str(root), "--train", "10", "--val", "6", "--unlabeled", "48", "--seed", "0"]) == 0
    for split in ("train", "val"):
        coco = root / "coco"
        (coco / split).rename(coco / f"{split}2017")
        (coco / "annotations" / f"instances_{split}.json").rename(coco / "annotations" / f"instances_{split}2017.json")
    return Photographs(root)


def a_plan(images, **changes):
    """A plan for the cpu size."""
    starts = [init.name for init in CPU.inits[1:]]
    fields = {
        "size": "cpu",
        "data": images.facts(),
        "machine": "a machine",
        "seconds": dict.fromkeys(starts, 0.5),
        "endings": {start: {"0.03": Ending(4.0, 0.1, 900.0), "0.1": None} for start in starts},
        "rates": dict.fromkeys(starts, 0.03),
        "iterations": dict.fromkeys(starts, 800),
    }
    return Plan(**(fields | changes))


@pytest.mark.parametrize("init", ALL, ids=lambda init: init.name)
def test_every_start_is_a_config_that_loads(init):
    """Also with the search's options: what is refused must be refused here, not after an hour of cells."""
    size = GPU if init in GPU.parts or init.name not in [i.name for i in CPU.inits] else CPU
    course = {"schedule.iterations": 100, "schedule.warmup_epochs": 0.1, "optimizer.lr": 0.1, "run.seed": 3}
    config, options = command(init, size, course)
    settings = load_settings(read_config(Path(config), options))
    assert settings.schedule.iterations == 100
    assert settings.optimizer.lr == 0.1


def test_the_ablation_changes_what_it_says():
    changed = {init.name: dict(init.options) for init in GPU.parts if init.options}
    assert changed["forward_mode"] == {"meta.hypergradient": "forward_mode"}
    assert changed["lambda1_0.01"] == {"objective.mcr_weight": 0.01}
    assert len(changed) == len({json.dumps(options) for options in changed.values()}) == 7


def test_the_cells_of_both_sizes():
    assert len(cells(CPU)) == 12
    assert [c.equal for c in cells(GPU)].count(COMPUTE) == 27
    assert [c.equal for c in cells(GPU)].count(EPOCHS) == 42
    assert len({c.name for c in cells(GPU)}) == 69


@pytest.mark.parametrize("name", SIZES)
def test_the_length_of_fine_tuning_is_what_the_flags_make_it(name, photographs, tmp_path):
    from transfer.commands import finetune
    from transfer.finetuning import plan as finetuning

    size = SIZES[name]
    course = [c for c in size.course if c != "--channels-last"]  # for GPUs
    data = ["--train", *photographs.train.arguments, "--val", *photographs.val.arguments]
    run = ["--config-file", size.detector, "--init", "random", *data, *course, "OUTPUT_DIR", str(tmp_path / "run")]
    parser = argparse.ArgumentParser()
    finetune.add_arguments(parser)
    request = finetune.request(parser.parse_intermixed_args(run))
    assert size.iterations == finetuning.prepare(request).cfg.SOLVER.MAX_ITER


def test_a_cell_pretrains_converts_judges_and_fine_tunes(photographs, tmp_path):
    _, simclr = cells(CPU)[:2]
    made = chain(simclr, CPU, a_plan(photographs), photographs, tmp_path / "objects", tmp_path)
    assert [step.product.relative_to(simclr.folder(tmp_path)).as_posix() for step in made] == [
        "pretrain/backbone.safetensors",
        "detectron2.pth",
        "knn.json",
        "labels_10/record.json",
    ]
    said = " ".join(made[0].arguments)
    assert "schedule.iterations=800" in said
    assert "optimizer.lr=0.03" in said
    assert "run.seed=0" in said
    assert {"--labels", "10%", "--seed", "--resume"} <= set(made[-1].arguments)


def test_random_weights_are_only_judged_and_fine_tuned(photographs, tmp_path):
    random = cells(CPU)[0]
    made = chain(random, CPU, a_plan(photographs), photographs, tmp_path / "objects", tmp_path)
    assert [step.kind for step in made] == ["knn", "labels_10"]
    assert "random:resnet18" in made[0].arguments


def test_equal_epochs_are_the_same_images_for_every_part(photographs, tmp_path):
    made = a_plan(photographs, rates={"simclr": 0.01, "metamask_compmod": 0.1})
    size = dataclasses.replace(GPU, pretraining={**GPU.pretraining, "data.batch": 8})
    found = {}
    for cell in cells(size):
        if cell.equal == EPOCHS and cell.init.name in ("simclr", "first_order"):
            found[cell.init.name] = " ".join(chain(cell, size, made, photographs, tmp_path, tmp_path)[0].arguments)
    assert all("schedule.iterations=120 " in said for said in found.values())  # 20 epochs of 48 images by 8
    assert "optimizer.lr=0.01" in found["simclr"]
    assert "optimizer.lr=0.1" in found["first_order"]


def test_the_search_takes_the_lowest_loss_that_can_be_told():
    close = {"0.03": Ending(4.6, 0.1, 1100.0), "0.1": Ending(4.7, 0.2, 850.0), "0.3": Ending(5.8, 0.2, 800.0)}
    assert plan.choose(close) == 0.1  # 0.03 is lower by less than the error, and 0.3 is told apart
    assert plan.choose({**close, "0.1": Ending(4.9, 0.2, 850.0)}) == 0.03
    assert plan.choose({"0.1": None, "0.3": close["0.3"]}) == 0.3
    with pytest.raises(Failed, match="none among"):
        plan.choose({"0.1": None})


def test_a_training_is_judged_by_its_last_fifth_and_its_contrastive_loss(tmp_path):
    lines = [{"iteration": k + 1, "loss": 1000.0 - k, "contrastive": float(k)} for k in range(20)]
    (tmp_path / "pretrain").mkdir()
    (tmp_path / "pretrain/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ending(tmp_path) is None  # it has not ended
    (tmp_path / "pretrain/backbone.safetensors").touch()
    found = ending(tmp_path)
    assert (found.judged, found.whole) == (17.5, 982.5)
    assert found.error == pytest.approx((5 / 3) ** 0.5 / 2)  # of 16, 17, 18, 19


def test_the_warm_up_is_a_tenth(photographs):
    found = schedule(300, 0.1, 5, CPU, photographs)
    assert found["schedule.warmup_epochs"] == pytest.approx(0.1 * 300 * 32 / 48)


def test_choices_are_made_on_other_images_than_neighbours_are_taken_from(photographs, tmp_path):
    parts = [json.loads(part.annotations.read_text()) for part in cut(photographs.train, tmp_path)]
    fit, held_out = ({image["id"] for image in part["images"]} for part in parts)
    assert (len(fit), len(held_out)) == (8, 2)
    assert not fit & held_out
    for part, ids in zip(parts, (fit, held_out), strict=True):
        assert {a["image_id"] for a in part["annotations"]} <= ids
    again = cut(photographs.train, tmp_path / "again")
    assert again[0].annotations.read_bytes() == (tmp_path / "fit.json").read_bytes()


def test_every_object_is_cut_out_into_its_class(photographs, tmp_path):
    content = json.loads(photographs.val.annotations.read_text())
    large = [a for a in content["annotations"] if max(a["bbox"][2:]) >= 16]
    out = objects(photographs.train, photographs.val, tmp_path / "objects")
    assert len(list((out / "val").rglob("*.png"))) == len(large)
    assert {p.name for p in (out / "val").iterdir()} <= {c["name"] for c in content["categories"]}


def test_the_fingerprint_is_of_the_contents(photographs):
    facts = photographs.facts()
    assert (facts["unlabelled"], facts["train"], facts["val"]) == (48, 10, 6)
    file = photographs.val.annotations
    before = file.read_bytes()
    file.write_bytes(before + b"\n")
    assert photographs.facts()["fingerprint"] != facts["fingerprint"]
    file.write_bytes(before)
    assert photographs.facts() == facts


def copying(tmp_path, name, source):
    """A step that copies JSON."""
    out = tmp_path / f"{name}.json"
    return Step("copy", name, out, ("json.tool", str(source), str(out)), tmp_path / "log")


def test_steps_run_once_and_in_order(tmp_path, capsys):
    (tmp_path / "a.json").write_text("[1]")
    first = copying(tmp_path, "b", tmp_path / "a.json")
    chains = [[first, copying(tmp_path, "c", first.product)], [copying(tmp_path, "d", tmp_path / "a.json")]]
    steps.run(chains, jobs=2)
    assert (tmp_path / "c.json").read_text().split() == ["[", "1", "]"]
    capsys.readouterr()
    first.product.write_text("changed")
    steps.run(chains, jobs=1)
    assert first.product.read_text() == "changed"
    assert capsys.readouterr().out.count("there already") == 3


def test_a_step_that_fails_ends_the_run_and_says_where(tmp_path):
    bad = copying(tmp_path, "bad", tmp_path / "missing.json")
    with pytest.raises(steps.Failed, match="bad: ended with"):
        steps.run([[bad, copying(tmp_path, "after", bad.product)]], jobs=1)
    assert not (tmp_path / "after.json").exists()
    assert "missing.json" in (tmp_path / "log").read_text()


def test_a_step_without_its_product_failed(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    wrong = Step("copy", "wrong", tmp_path / "b.json", ("json.tool", str(tmp_path / "a.json")), tmp_path / "log")
    with pytest.raises(Failed, match="found nothing"):
        steps.run([[wrong]], jobs=1)


def test_only_names_cells_and_starts():
    assert len(evidence.select(cells(CPU), ["compute/simclr"])) == 3
    (one,) = evidence.select(cells(CPU), ["compute/metamask/2"])
    assert (one.init.name, one.seed) == ("metamask", 2)
    with pytest.raises(Failed, match="compute/random, compute/simclr"):
        evidence.select(cells(CPU), ["simclr"])


def test_a_plan_reads_back_and_another_file_is_refused(photographs, tmp_path):
    made = a_plan(photographs)
    plan.write(tmp_path / "plan.json", made)
    assert plan.read(tmp_path / "plan.json") == made
    (tmp_path / "plan.json").write_text('{"size": "cpu"}')
    with pytest.raises(Failed, match="expected a plan"):
        plan.read(tmp_path / "plan.json")


def run(*arguments):
    return evidence.main([str(a) for a in arguments])


def test_a_plan_for_other_images_is_refused(photographs, tmp_path, capsys):
    plan.write(tmp_path / "p.json", a_plan(photographs, data={**photographs.facts(), "fingerprint": "0" * 16}))
    out = tmp_path / "out"
    assert run("--data", photographs.root, "--out", out, "--plan", tmp_path / "p.json", "--report-only") == 1
    assert "expected a plan for --size cpu and the set" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_is_no_set_is_refused(tmp_path, capsys):
    assert run("--data", tmp_path, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err.count("\n") == 1


def finding(knn, ap, start="simclr", seed=0):
    cell = next(c for c in cells(CPU) if (c.init.name, c.seed) == (start, seed))
    return Finding(cell, 60.0, 100, knn, 1.0, 50.0, {"labels_10": ap}, {"labels_10": ap}, {})


def test_the_rank_correlation_is_over_cells():
    found = [finding(10, 1), finding(20, 4), finding(30, 3), finding(40, 5)]
    correlation, n = rank_correlation(found, lambda f: f.knn, "labels_10")
    assert (round(correlation, 6), n) == (0.8, 4)  # 1 - 6 sum d² / (n (n² - 1)) = 1 - 6 · 2 / 60
    assert rank_correlation(found[:3], lambda f: f.knn, "labels_10") is None


def fill(out, photographs):
    """Cells as the commands would leave them, two starts and three seeds."""
    for cell in cells(CPU):
        if cell.init.name not in ("random", "simclr"):
            continue
        folder = cell.folder(out)
        folder.mkdir(parents=True)
        shift = 3 if cell.init.name == "random" else 2
        changes = {"init": cell.init.name, "seed": cell.seed, "label_fraction": 0.1}
        make_run(folder / "labels_10", digits_layout(photographs), shift=shift, name=cell.name, **changes)
        judged = {
            "results": {"top1": {"accuracy": 30.0 + cell.seed, "standard_error": 2.0}},
            "effective_rank": {"value": 40.0},
        }
        (folder / "knn.json").write_text(json.dumps(judged))
        if cell.init.name == "simclr":
            lines = [{"iteration": 10, "images_per_second": 32.0}, {"iteration": 20, "images_per_second": 16.0}]
            (folder / "pretrain").mkdir()
            (folder / "pretrain/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def digits_layout(photographs):
    """Where make_run looks for the val split."""
    coco = photographs.root / "coco"
    (coco / "annotations/instances_val.json").write_bytes(photographs.val.annotations.read_bytes())
    return photographs.root


def test_the_page_of_finished_cells(photographs, tmp_path, capsys):
    out, keep = tmp_path / "out", tmp_path / "keep"
    fill(out, photographs)
    made = a_plan(photographs)
    plan.write(out / "plan.json", made)
    (simclr, *_) = [f for f in collect(cells(CPU), CPU, out) if f.cell.init.name == "simclr"]
    assert simclr.seconds == pytest.approx(10 * 32 / 32 + 10 * 32 / 16)  # each line speaks for the iterations before it
    page.write(CPU, made, out, keep)
    text = (keep / "tables.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    assert "simclr minus random" in text
    assert "Spearman" in text
    assert (keep / "evidence.png").read_bytes()[:4] == b"\x89PNG"
    assert set(json.loads((keep / "cells.json").read_text())) == {
        f"compute/{start}/{seed}" for start in ("random", "simclr") for seed in (0, 1, 2)
    }
    assert len(json.loads((keep / "report.json").read_text())) == 6
    assert (out / "report" / "report.html").exists()


def test_without_cells_there_is_no_page(photographs, tmp_path):
    with pytest.raises(Failed, match="found none yet"):
        page.write(CPU, a_plan(photographs), tmp_path, None)


@pytest.mark.slow
def test_from_a_set_to_the_page(photographs, tmp_path, monkeypatch, capsys):
    """Every command for real, a few iterations each; called again, nothing is run again."""
    size = dataclasses.replace(
        CPU,
        inits=(CPU.inits[0], CPU.inits[3]),
        labels=("50%",),
        budget=4,
        rates=(0.01, 0.03),
        view=32,
        pretraining={**CPU.pretraining, "data.batch": 24, "run.log_every": 1},
        course=("SOLVER.MAX_ITER", "6", "SOLVER.STEPS", "(4,)", "TEST.PRECISE_BN.NUM_ITER", "2"),
        iterations=6,
    )
    monkeypatch.setitem(SIZES, "cpu", size)
    arguments = ["--data", photographs.root, "--out", tmp_path / "out", "--keep", tmp_path / "keep"]
    assert run(*arguments) == 0
    assert "metamask_compmod minus random" in (tmp_path / "keep" / "tables.md").read_text()
    assert "mask" in (tmp_path / "keep" / "tables.md").read_text()
    capsys.readouterr()
    assert run(*arguments) == 0
    said = capsys.readouterr().out
    assert "labels 50: there already" in said
    assert said.count("there already") == len(SIZES["cpu"].seeds) * 6 + 1  # and the curve


def test_splits_are_arguments():
    assert Split(Path("a"), Path("b.json")).arguments == ["a", "b.json"]


@pytest.mark.parametrize("share", ["50", "0%", "150%", "half%"])
def test_labels_are_shares(share, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("--data", tmp_path, "--out", tmp_path / "out", "--labels", share)
    assert "--labels" in capsys.readouterr().err


def test_the_command_leaves_sigterm_as_it_was(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    assert evidence.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert signal.getsignal(signal.SIGTERM) is before
