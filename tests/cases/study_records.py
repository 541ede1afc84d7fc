"""Records of two starts over three shares of the labels, and what a study knows of them besides."""

from pathlib import Path

from tests.cases.records import make_record
from transfer.records.record import Data, Split
from transfer.reporting.extra_tables import Studied

TRAIN = Split("images", "ann.json", "f" * 64, 1000, 2000, ["zero", "one"])


# start -> share of the labels -> mask AP
CURVES = {"random": {0.05: 10.0, 0.2: 18.0, 0.8: 24.0}, "simclr": {0.05: 14.0, 0.2: 21.0, 0.8: 30.0}}


def label_curves(seeds=(0, 1, 2)):
    """Records whose AP is CURVES' plus a tenth of the seed's number."""
    return [
        make_record(
            init,
            seed,
            segm={"AP": ap + 0.1 * seed},
            name=f"{init}-{share}-{seed}",
            label_fraction=share,
            data=Data(TRAIN, TRAIN),
        )
        for init, curve in CURVES.items()
        for share, ap in curve.items()
        for seed in seeds
    ]


def known_of(records):
    """kNN ranks the starts as AP does, effective rank the other way round; pretraining took an hour of two cores."""
    return {
        id(r): Studied(
            Path("run"),
            0.0 if r.init == "random" else 3600.0,
            1800.0,
            2,
            {"kNN accuracy, %": r.metrics["segm"]["AP"], "effective rank": -r.metrics["segm"]["AP"]},
        )
        for r in records
    }
