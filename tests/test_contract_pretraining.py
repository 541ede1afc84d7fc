"""Contract 4 of docs/design.md: what pretraining leaves to read is what the report reads, checked on a real run."""

import json

import pytest

from pretrain.__main__ import main as pretrain
from tests.cases.fake_runs import make_run
from tests.cases.labelled_sets import class_folder
from transfer.__main__ import main as transfer
from transfer.demo import digits
from transfer.reporting import curves

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

CONFIG = """
method = "metamask"
backbone = dict(arch="resnet18", stem="small")
objective = dict(redundancy_widths=(16, 16), contrastive_widths=(16, 16), mask="MASK")
optimizer = dict(lr=0.01)
meta = dict(start=0)
schedule = dict(epochs=2, warmup_epochs=0.0)
data = dict(batch=6, workers=0)
views = dict(size=16)
run = dict(log_every=1, checkpoint_every=100, knn_every=1)
"""


@pytest.fixture(scope="module", params=["sigmoid", "identity"])
def run(request, tmp_path_factory):
    """(form of the mask, work folder) of a real pretraining with a look at the nearest neighbours."""
    folder = tmp_path_factory.mktemp("pretraining")
    (folder / "tiny.py").write_text(CONFIG.replace("MASK", request.param))
    images = class_folder(folder / "images", per_class=4)
    work = folder / "my run"
    assert pretrain([str(folder / "tiny.py"), "--data", str(images), "--work-dir", str(work)]) == 0
    return request.param, work


def test_method_curves_and_mask_are_those_of_the_run(run):
    form, work = run
    read = curves.pretraining(work)
    assert (read.name, read.method, read.mask_form) == ("my run", "metamask", form)
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    assert read.curves["knn"] == tuple((float(x["iteration"]), x["knn"]) for x in lines if "knn" in x)
    assert [x for x, _ in read.curves["knn"]] == [2.0, 4.0]  # both epochs' ends
    logged = [line for line in lines if "contrastive" in line]
    assert read.curves["contrastive"] == tuple((float(x["iteration"]), x["contrastive"]) for x in logged)
    if form == "sigmoid":
        spread = [line["mask_p95"] - line["mask_p05"] for line in logged]
        assert [y for _, y in read.curves["mask_spread"]] == pytest.approx(spread)
        assert spread[-1] > 0
    assert read.curves["effective_rank"]
    snapshots = json.loads((work / "mask.json").read_text())
    assert read.mask == tuple(snapshots["4"])
    assert len(read.mask) == 512
    assert set(snapshots["0"]) == {0.5 if form == "sigmoid" else 1.0}
    assert len(set(read.mask)) > 100  # it has moved


def test_the_page_shows_them(run, tmp_path):
    form, work = run
    digits.write(tmp_path / "data", digits.Settings(size=48, train=1, val=4, unlabeled=1))
    runs = [str(make_run(tmp_path / f"random-{s}", tmp_path / "data", "random", s)) for s in range(2)]
    flags = ["--pretrain", str(work), "--resamples", "100", "--images", "1"]
    assert transfer(["report", *runs, "--out", str(tmp_path / "out"), *flags]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    for words in (
        "Contrastive loss",
        "Redundancy loss (Barlow Twins)",
        "kNN accuracy of the frozen features",
        "Mask of metamask",
        "512 feature dimensions",
    ):
        assert words in page
    assert ("0.5 at the start" if form == "sigmoid" else "1 at the start") in page
    assert ("Spread of the mask" in page) == (form == "sigmoid")
