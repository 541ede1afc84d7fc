import json

import pytest

from transfer.errors import InputError
from transfer.reporting import curves


def write(folder, name, entries):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return folder


def test_finetuning_curves(tmp_path):
    entries = [{"iteration": i, "total_loss": 10.0 - i} for i in range(4)]
    entries += [{"iteration": 2, "total_loss": 5.0}]  # resumed: the later value counts
    entries += [{"iteration": 3, "bbox/AP": 4.0, "segm/AP": float("nan")}, {"iteration": 4, "bbox/AP": 6.0}]
    run = curves.finetuning(write(tmp_path, "metrics.json", entries))
    assert run.loss == ((0, 10), (1, 9), (2, 5), (3, 7))
    assert run.ap == {"bbox": ((3, 4), (4, 6))}
    assert curves.finetuning(tmp_path / "nowhere") is None


def test_long_curves_are_thinned_to_means():
    points = tuple((float(i), float(i % 2)) for i in range(1000))
    thinned = curves.thin(points)
    assert len(thinned) <= curves.MOST_POINTS
    assert thinned[0] == (4.0, pytest.approx(4 / 9))


def test_pretraining_curves_method_and_mask(tmp_path):
    folder = write(tmp_path / "run", "metrics.jsonl", [{"iteration": 20, "loss": 3.0}, {"iteration": 40, "loss": 2.0}])
    assert curves.pretraining(folder) == curves.Pretraining("run", "", {"loss": ((20, 3), (40, 2))}, ())
    (folder / "run.json").write_text('{"settings": {"method": "metamask", "objective": {"mask": "identity"}}}')
    (folder / "mask.json").write_text('{"0": [1, 1], "9": [9, 9], "40": [1.5, -0.25]}')  # 40 is later than 9
    run = curves.pretraining(folder)
    assert (run.method, run.mask, run.mask_form) == ("metamask", (1.5, -0.25), "identity")


def test_half_a_last_line_of_a_run_that_goes_on_is_left_out(tmp_path):
    folder = write(tmp_path / "run", "metrics.jsonl", [{"iteration": 20, "loss": 3.0}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 40, "lo')
    assert curves.pretraining(folder).curves == {"loss": ((20, 3),)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", "{", "run.json cannot be read: expected JSON"),
        ("run.json", "[]", "run.json: expected a JSON object, found a list"),
        ("run.json", '{"settings": {}}', "run.json: expected settings with a method"),
        ("mask.json", '{"a": [1]}', "mask.json: expected iterations with a list of numbers"),
        ("mask.json", '{"1": 3}', "mask.json: expected iterations with a list of numbers"),
        ("mask.json", '{"1": [NaN]}', "mask.json: expected finite weights"),
    ],
)
def test_a_file_that_pretraining_does_not_write_is_one_line(tmp_path, name, content, message):
    folder = write(tmp_path / "run", "metrics.jsonl", [{"iteration": 20, "loss": 3.0}])
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=message):
        curves.pretraining(folder)


def test_files_that_are_something_else_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"metrics.jsonl is missing: expected a pretraining run"):
        curves.pretraining(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="expected one JSON object a line"):
        curves.finetuning(tmp_path)
    (tmp_path / "metrics.json").write_text("[1]\n")
    with pytest.raises(InputError, match="line 1: expected an object with iteration"):
        curves.finetuning(tmp_path)
