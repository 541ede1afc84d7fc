import pytest

from transfer.errors import InputError
from transfer.records.stages import Stage, read_stages, write_stages


def test_what_is_written_reads_back_equal(tmp_path):
    stages = [Stage("data", 1.5, "python -m transfer.demo.digits --out 'a b'"), Stage("train", 100.0, "python")]
    write_stages(tmp_path / "stages.json", stages)
    assert read_stages(tmp_path / "stages.json") == stages
    write_stages(tmp_path / "stages.json", [])
    assert read_stages(tmp_path / "stages.json") == []


@pytest.mark.parametrize(
    "text", ["{", "[1]", '[{"stage": "a", "seconds": "long", "command": "b"}]', '[{"stage": "a"}]']
)
def test_another_file_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(InputError, match="expected a JSON list of stage, seconds and command, found") as error:
        read_stages(tmp_path / "stages.json")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="is missing: expected a list of stages"):
        read_stages(tmp_path / "none.json")
