"""The comparison as files for other programs: CSV for spreadsheets, LaTeX for papers."""

from __future__ import annotations

import csv
import io

from transfer.comparison.compare import Difference, Group
from transfer.records.record import ALL_METRICS, TASKS
from transfer.reporting.summary import Summary

COLUMNS = (
    "start", "label_fraction", "n", "task", "metric", "mean", "std", "low", "high",
    "baseline", "difference", "difference_low", "difference_high", "interval_over", "p", "p_holm", "verdict",
)  # fmt: skip
SHOWN = ("AP", "AP50", "AP75")
TEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}"}


def to_csv(summary: Summary) -> str:
    """Return one line per start, label fraction, task and metric: percent and percentage points, empty where unknown.

    ``low`` and ``high`` are 95 % limits.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for group in summary.groups:
        base = summary.base(group.fraction)
        for task in TASKS:
            for metric in ALL_METRICS:
                value = group.values[task, metric]
                if value is None:
                    continue
                low, high = value.interval or (None, None)
                row: list[object] = [
                    group.init,
                    group.fraction,
                    value.n,
                    task,
                    metric,
                    value.mean,
                    value.std,
                    low,
                    high,
                ]
                row += _difference(base, summary.difference(group, task, metric))
                verdict = summary.verdict(group, task) if metric == "AP" else None
                row += ["", "", ""] if verdict is None else [verdict.p, verdict.adjusted, str(verdict)]
                writer.writerow(["" if cell is None else _cell(cell) for cell in row])
    return out.getvalue()


def to_latex(summary: Summary, caption: str) -> str:
    """Return a table for the booktabs package: means ± standard deviations, and differences of AP with their limits."""
    tasks = [task for task in TASKS if any(g.values[task, "AP"] is not None for g in summary.groups)]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        r"  \begin{tabular}{llr" + "rrrr" * len(tasks) + "}",
        r"    \toprule",
        "    & & & " + " & ".join(rf"\multicolumn{{4}}{{c}}{{{_NAMES[task]}}}" for task in tasks) + r" \\",
        "    " + " ".join(rf"\cmidrule(lr){{{4 + 4 * i}-{7 + 4 * i}}}" for i in range(len(tasks))),
        "    start & labels & $n$ & " + " & ".join([r"AP & AP$_{50}$ & AP$_{75}$ & $\Delta$AP"] * len(tasks)) + r" \\",
        r"    \midrule",
    ]
    for group in summary.groups:
        labels = "--" if group.fraction is None else rf"{100 * group.fraction:g}\,\%"
        cells = [_escape(group.init), labels, str(len(group.runs))]
        for task in tasks:
            cells += [_value(group, task, metric) for metric in SHOWN]
            verdict = summary.verdict(group, task)
            cells.append("--" if verdict is None else _limits(verdict.difference))
        lines.append("    " + " & ".join(cells) + r" \\")
    lines += [r"    \bottomrule", r"  \end{tabular}", rf"  \caption{{{_escape(caption)}}}", r"\end{table}", ""]
    return "\n".join(lines)


_NAMES = {"bbox": "boxes", "segm": "masks"}


def _difference(base: Group | None, diff: Difference | None) -> list[object]:
    if base is None or diff is None:
        return ["", "", "", "", ""]
    low, high = diff.interval or (None, None)
    return [base.init, diff.mean, low, high, diff.basis]


def _cell(cell: object) -> object:
    return round(cell, 6) if isinstance(cell, float) else cell


def _value(group: Group, task: str, metric: str) -> str:
    value = group.values[task, metric]
    if value is None:
        return "--"
    return f"{value.mean:.1f}" + (rf"\,$\pm$\,{value.std:.1f}" if value.std is not None else "")


def _limits(diff: Difference) -> str:
    text = f"${diff.mean:+z.1f}$"
    return text if diff.interval is None else rf"{text} [${diff.interval[0]:z.1f}$, ${diff.interval[1]:z.1f}$]"


def _escape(text: str) -> str:
    return "".join(TEX.get(letter, letter) for letter in text)
