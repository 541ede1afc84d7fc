"""docs/quickstart.ipynb runs from its first cell to its last, and ends with what it promises."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs/quickstart.ipynb"
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
# Jupyter's own packages warn about each other; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("default")


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_stored_without_outputs_and_in_its_full_length():
    notebook = read()
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 6
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    assert "QUICK = False" in cells[0].source


@pytest.mark.slow
def test_every_cell_runs(tmp_path):
    notebook = read()
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = first.source.replace("QUICK = False", "QUICK = True").replace(
        'tempfile.mkdtemp(prefix="quickstart-")', repr(str(tmp_path / "out"))
    )
    assert str(tmp_path) in first.source
    environment = {"metadata": {"path": str(NOTEBOOK.parents[1])}}
    nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3", resources=environment).execute()
    assert (tmp_path / "out/report/report.html").is_file()
    assert len(list((tmp_path / "out/drawn").iterdir())) == 6
    assert "metamask" in str(notebook.cells[-5].outputs)
