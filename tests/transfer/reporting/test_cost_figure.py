from tests.cases.study_records import known_of, label_curves
from transfer.comparison.bootstrap import ImageResamples
from transfer.reporting.cost_figure import cost_figure
from transfer.reporting.figures import Figures
from transfer.reporting.summary import summarise


def test_ap_is_drawn_against_cost_start_by_start():
    records = label_curves()
    summary = summarise(records, None, ImageResamples(100))
    figure = cost_figure(Figures(summary), known_of(records))
    assert figure.title == "Mask AP against training cost"
    assert figure.svg.count("<polyline") == 2
    assert "core-hours" in figure.svg
    assert cost_figure(Figures(summary), {}) is None
