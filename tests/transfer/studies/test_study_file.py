"""The study file: where it is found and what is read; every packaged one can be run as far as its settings go."""

from pathlib import Path

import pytest

from tests.cases.studies import GOOD
from transfer.errors import InputError
from transfer.studies import starts
from transfer.studies.schema import ALL, Start
from transfer.studies.study_file import find_study, read_study

CONFIGS = Path(__file__).parents[3] / "configs/studies"


def write(folder, text):
    file = folder / "study.yaml"
    file.write_text(text)
    return file


def test_a_study_is_read_as_it_is_written(tmp_path):
    study = read_study(write(tmp_path, GOOD))
    assert study.data.train == ("images", "train.json")
    assert study.starts["random"] == Start()
    assert study.starts["simclr"] == Start(pretrain="simclr_r18_any_100e", options={"schedule.epochs": 2})
    assert (study.seeds, study.labels, study.terms.equal) == ((0, 1), ("10%", ALL), "epochs")
    assert study.detector.options == {"SOLVER.STEPS": "(1,)", "SOLVER.MAX_ITER": 2}


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "text", "a: 2026-13-45\n", f"a: {'9' * 5000}\n", "[" * 5000])
def test_what_is_no_study_file_is_one_line(tmp_path, text):
    with pytest.raises(InputError, match="expected") as error:
        read_study(write(tmp_path, text))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_packaged_study_can_be_read(file):
    study = read_study(file.stem)
    assert study.starts["random"] == Start()
    assert len(study.starts) > 1


def test_every_start_of_every_packaged_study_has_settings_that_load():
    """Also with its options: what is refused must be refused here, not after an hour of cells."""
    studies = {file.stem: read_study(file) for file in CONFIGS.glob("*.yaml")}
    configs = {
        f"{study}/{name}": (start.pretrain, starts.options(start))
        for study, content in studies.items()
        for name, start in content.starts.items()
        if start.pretrain
    }
    settings = starts.resolve(configs)
    assert settings["photographs_parts_gpu/forward_mode"]["meta"]["hypergradient"] == "forward_mode"
    assert settings["photographs_parts_gpu/lambda1_0.01"]["objective"]["mcr_weight"] == 0.01
    assert settings["photographs_parts_gpu/compmod_raw"]["objective"]["comp_input"] == "raw"
    parts = [one for name, one in settings.items() if name.startswith("photographs_parts_gpu/")]
    assert len({str(one) for one in parts}) == len(parts) == 14


def test_packaged_studies_are_found_by_name_and_close_names_are_named():
    assert find_study("digits_small").name == "digits_small.yaml"
    with pytest.raises(InputError, match=r"similar name: digits_small\.yaml"):
        find_study("digit_smal.yaml")
