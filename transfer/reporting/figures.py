"""The report's figures: which numbers stand in which chart, and the note that says their unit, n and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transfer.comparison.compare import Group, Value
from transfer.comparison.verdicts import BETTER, WORSE
from transfer.drawing import charts
from transfer.drawing.charts import ChartRow, Line, Point
from transfer.records.record import TASKS, Record
from transfer.reporting.curves import Finetuning, Points
from transfer.reporting.summary import Summary, mean_curve
from transfer.reporting.wording import NAMES, WORDS, limits, minus, number, percent, signed

MOST_CLASSES = 24  # in one figure
TIDE = {
    "classification": "wrong class",
    "localisation": "wrong place",
    "both": "both wrong",
    "duplicate": "duplicate",
    "background": "nothing there",
    "missed": "missed",
}
KINDS = {BETTER: "better", WORSE: "worse"}  # verdict -> class of the style sheet


@dataclass(frozen=True)
class Figure:
    """A chart, its title, what its marks mean, and what it was measured on."""

    title: str
    svg: str
    note: str
    legend: tuple[tuple[str, str], ...] = ()  # (mark as SVG, name)


class Figures:
    """Makes figures of one summary: the same start has the same colour and mark in all of them."""

    def __init__(self, summary: Summary) -> None:
        """Give each start its series; 0 is the baseline's."""
        self.summary = summary
        first = 0 if summary.baseline is not None else 1
        self.series = {init: i + first for i, init in enumerate(summary.inits)}
        val = summary.records[0].data.val
        self.measured = f"{val.n_images} val images, {val.n_instances} objects"
        self.several = len(summary.fractions) > 1

    def legend(self, inits: Sequence[str] | None = None) -> tuple[tuple[str, str], ...]:
        """Return the marks and names of some starts, of all by default."""
        return tuple((charts.mark(self.series[i]), i) for i in self.summary.inits if inits is None or i in inits)

    def name(self, group: Group) -> str:
        """Return a group's label."""
        return f"{group.init} · {percent(group.fraction)}" if self.several else group.init

    def runs(self, groups: Sequence[Group]) -> str:
        """Return n in words."""
        counts = sorted({len(group.runs) for group in groups})
        return f"n\u00a0=\u00a0{counts[0]}" + (f"–{counts[-1]}" if len(counts) > 1 else "") + "\u00a0runs each"

    def evidence(self, task: str) -> list[Figure | None]:
        """Return what the answer rests on."""
        return [self.differences(task), self.ap(task), self.labels(task)]

    def differences(self, task: str) -> Figure | None:
        """Return the differences to the baseline with their intervals: what the verdicts rest on."""
        rows = []
        for verdict in self.summary.about(task):
            diff = verdict.difference
            low, high = diff.interval or (None, None)
            tip = f"{self.name(verdict.ours)}: {signed(diff.mean)}, 95 % {limits(diff.interval)}; {verdict}"
            kind = KINDS.get(verdict.word, "unknown")
            text = with_limits(signed(diff.mean), diff.interval)
            point = Point(self.series[verdict.ours.init], diff.mean, low, high, tip=tip, kind=kind, text=text)
            rows.append(ChartRow(self.name(verdict.ours), (point,)))
        if not rows:
            return None
        title = f"{WORDS[task].capitalize()} AP against {self.summary.baseline}"
        basis = " / ".join(sorted({v.difference.basis for v in self.summary.about(task)} - {""})) or "nothing"
        groups = [verdict.ours for verdict in self.summary.about(task)]
        note = f"Mean difference and 95 % interval over {basis}; {self.runs(groups)}; {self.measured}."
        return Figure(title, charts.dots(title, rows, "percentage points of AP", zero=True, least=1.0), note)

    def ap(self, task: str) -> Figure | None:
        """Return AP bars with intervals and every single run."""
        rows, groups = [], []
        for group in self.summary.groups:
            value = group.values[task, "AP"]
            if value is not None:
                groups.append(group)
                single = tuple(ap for run in group.runs if (ap := run.metrics[task]["AP"]) is not None)
                rows.append(ChartRow(self.name(group), (self.point(group, value, single if len(single) > 1 else ()),)))
        if not rows:
            return None
        title = f"{WORDS[task].capitalize()} AP"
        whisker = "whisker: 95 % interval of the mean; " if any(row.points[0].low is not None for row in rows) else ""
        dots = "dots: single runs; " if any(row.points[0].single for row in rows) else ""
        note = f"Bar: mean; {whisker}{dots}{self.runs(groups)}; {self.measured}."
        return Figure(title, charts.bars(title, rows, "AP, %"), note)

    def labels(self, task: str) -> Figure | None:
        """Return AP over the share of the labels; None for one share."""
        if len([fraction for fraction in self.summary.fractions if fraction]) < 2:
            return None
        curves = []
        for init in self.summary.inits:
            values = [
                (100 * group.fraction, value)
                for group in reversed(self.summary.groups)
                if group.init == init and group.fraction and (value := group.values[task, "AP"]) is not None
            ]
            points = tuple((x, value.mean) for x, value in values)
            curves.append(Line(self.series[init], init, points, tuple(value.interval for _, value in values)))
        if not any(curve.points for curve in curves):
            return None
        title = f"{WORDS[task].capitalize()} AP by share of the labels"
        note = f"Mean and 95 % interval; {self.runs(self.summary.groups)}; {self.measured}."
        svg = charts.lines(title, curves, "% of the training images' labels", "AP, %", percent_x=True, least=1.0)
        return Figure(title, svg, note, self.legend())

    def classes(self, task: str) -> Figure | None:
        """Return each class's difference to the baseline at the largest share of the labels."""
        groups = self.summary.at(self.summary.fractions[0])
        base = self.summary.base(self.summary.fractions[0])
        others = [group for group in groups if group is not base]
        if base is None or not others:
            return None
        rows: list[tuple[float, ChartRow]] = []
        for name in base.runs[0].data.val.classes:
            points = []
            for group in others:
                diff = self.summary.class_difference(group, task, name)
                if diff is not None:
                    low, high = diff.interval or (None, None)
                    tip = f"{name}, {group.init}: {signed(diff.mean)}, 95 % {limits(diff.interval)}"
                    text = with_limits(signed(diff.mean), diff.interval)
                    points.append(Point(self.series[group.init], diff.mean, low, high, tip=tip, text=text))
            if points:
                rows.append((points[0].value, ChartRow(name, tuple(points))))
        if not rows:
            return None
        rows.sort(key=lambda pair: -pair[0])
        cut = ""
        if len(rows) > MOST_CLASSES:
            cut = f" The {MOST_CLASSES} of {len(rows)} classes that changed most."
            rows = rows[: MOST_CLASSES // 2] + rows[-MOST_CLASSES // 2 :]
        title = f"{WORDS[task].capitalize()} AP by class, against {base.init}"
        labels = f"{percent(base.fraction)} of the labels; " if self.several else ""
        note = (
            f"Difference and 95 % interval, each class alone and not corrected for their number; {labels}"
            f"{self.runs(groups)}; {self.measured}.{cut}"
        )
        svg = charts.dots(title, [row for _, row in rows], "percentage points of AP", zero=True, least=1.0)
        return Figure(title, svg, note, self.legend([group.init for group in others]))

    def tide(self, task: str) -> Figure | None:
        """Return what each kind of error costs; None where no record has it."""
        groups = self.summary.at(self.summary.fractions[0])
        rows = []
        for kind, label in TIDE.items():
            points = []
            for group in groups:
                value = self.summary.error(group, task, kind)
                if value is not None:
                    tip = f"{label}, {group.init}: {number(value)}"
                    points.append(Point(self.series[group.init], value.mean, tip=tip, text=f"{value.mean:.1f}"))
            if points:
                rows.append(ChartRow(label, tuple(points)))
        if not rows:
            return None
        title = f"What errors cost: {NAMES[task].lower()}"
        note = (
            "AP at IoU 0.5 that would be gained without this kind of error alone (TIDE); "
            f"{self.runs(groups)}; {self.measured}."
        )
        inits = [group.init for group in groups]
        return Figure(
            title, charts.dots(title, rows, "percentage points of AP50", zero=True, least=1.0), note, self.legend(inits)
        )

    def finetuning(self, curves: Mapping[int, Finetuning]) -> list[Figure]:
        """Return the training loss, and AP during training where it was measured more than once.

        Args:
            curves: id of the record object -> its curves.
        """
        groups = self.summary.at(self.summary.fractions[0])
        labels = f"{percent(groups[0].fraction)} of the labels; " if self.several else ""
        loss = {id(run): curves[id(run)].loss for group in groups for run in group.runs if id(run) in curves}
        train = groups[0].runs[0].data.train
        where = f"{train.n_images} training images" if train else "the training images"
        note = f"Every run thin, their mean bold; {labels}{self.runs(groups)}; sum of all losses on {where}."
        figures = [self._curves("Training loss", "loss", groups, loss, note)]
        for task in reversed(TASKS):
            ap = {i: c.ap[task] for i, c in curves.items() if len(c.ap.get(task, ())) > 1}
            note = f"Every run thin, their mean bold; {labels}{self.runs(groups)}; {self.measured}."
            figures.append(self._curves(f"{WORDS[task].capitalize()} AP during training", "AP, %", groups, ap, note))
        return [figure for figure in figures if figure is not None]

    def _curves(
        self, title: str, unit: str, groups: Sequence[Group], by_run: Mapping[int, Points], note: str
    ) -> Figure | None:
        curves, shown = [], []
        for group in groups:
            own = [by_run[id(run)] for run in group.runs if by_run.get(id(run))]
            series = self.series[group.init]
            if len(own) > 1:
                curves += [Line(series, group.init, points, faint=True) for points in own]
            if own:
                shown.append(group.init)
                curves.append(Line(series, group.init, mean_curve(own)))
        if not curves:
            return None
        least = 1.0 if unit.startswith("AP") else 0.0
        svg = charts.lines(title, curves, "iteration", unit, least=least)
        return Figure(title, svg, unchanged(curves) + note, self.legend(shown))

    def point(self, group: Group, value: Value, single: tuple[float, ...] = ()) -> Point:
        """Return a group's mean as a mark, with its interval and single runs."""
        low, high = value.interval or (None, None)
        tip = f"{self.name(group)}: {number(value)}, 95 % {limits(value.interval)}"
        text = with_limits(f"{value.mean:.1f}", value.interval)
        return Point(self.series[group.init], value.mean, low, high, single, tip, text=text)


def with_limits(text: str, interval: tuple[float, float] | None) -> str:
    """Return a number as a chart shows it, with its interval where there is one."""
    return minus(text if interval is None else f"{text} ({limits(interval)})")


def unchanged(curves: Sequence[Line]) -> str:
    """Return a sentence for curves that are flat but for digits that mean nothing; "" for others."""
    return "Unchanged. " if charts.unchanged(curves) else ""


def kept_curves(records: Sequence[Record], curves: Sequence[Finetuning | None]) -> dict[int, Finetuning]:
    """Return id of the record object -> curves, for those that have any."""
    return {id(r): c for r, c in zip(records, curves, strict=True) if c is not None}
