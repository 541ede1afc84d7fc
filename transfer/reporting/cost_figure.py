"""AP against what it cost to train: one mark for each start and share of the labels."""

from __future__ import annotations

from transfer.drawing import charts
from transfer.drawing.charts import Line
from transfer.reporting.extra_tables import Known, group_hours
from transfer.reporting.figures import Figure, Figures
from transfer.reporting.wording import WORDS


def cost_figure(figures: Figures, known: Known) -> Figure | None:
    """AP over the hours of pretraining and fine-tuning together; None where they are not known."""
    summary, curves = figures.summary, []
    for init in summary.inits:
        points = []
        for group in summary.groups:
            value = group.values[summary.task, "AP"]
            if group.init == init and value is not None and all(id(run) in known for run in group.runs):
                hours = group_hours(group, known)[2]
                if hours is not None:
                    points.append((hours, value.mean))
        curves.append(Line(figures.series[init], init, tuple(sorted(points))))
    if not any(curve.points for curve in curves):
        return None
    unit = "core-hours" if summary.records[0].device.startswith("CPU") else "GPU-hours"
    title = f"{WORDS[summary.task].capitalize()} AP against training cost"
    note = f"Means; pretraining and fine-tuning of a run together; {figures.runs(summary.groups)}; {figures.measured}."
    return Figure(title, charts.lines(title, curves, unit, "AP, %"), note, figures.legend())
