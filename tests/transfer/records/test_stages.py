import pytest

from transfer.errors import InputError
from transfer.records import stages
from transfer.records.stages import Stage


def test_what_is_written_reads_back(tmp_path):
    chain = [Stage("data", "python -m x 'a b'", 4.6), Stage("train", "python y", 100.0)]
    stages.write(tmp_path / "stages.json", chain)
    assert stages.read(tmp_path / "stages.json") == chain


@pytest.mark.parametrize("text", ["{", "[1]", '[{"stage": "a"}]', '[{"stage": "a", "seconds": "soon", "command": ""}]'])
def test_another_content_is_refused(tmp_path, text):
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(InputError, match="expected a JSON list of stage, seconds and command"):
        stages.read(tmp_path / "stages.json")
    with pytest.raises(InputError, match="expected a list of stages, found nothing"):
        stages.read(tmp_path / "none.json")
