"""A matrix of counts as inline SVG: each row's shares as tints, the counts as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from transfer.drawing.charts import WIDTH, shortened

_LETTER, _CELL = 6.4, 30.0  # pixels


def matrix(
    title: str, rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], row_unit: str, unit: str
) -> str:
    """Return counts (rows x columns) with the share of its row as each cell's tint; column names stand upright.

    Args:
        title: said to those who cannot see it.
        rows: names.
        columns: names.
        counts: of each row, of each column.
        row_unit: what rows are.
        unit: what columns are.
    """
    left = min(112.0, 12 + max(map(len, rows)) * _LETTER)
    top = min(104.0, 18 + max(map(len, columns)) * _LETTER)
    cell = min((WIDTH - left - 6) / len(columns), 64.0)
    tall = min(cell, _CELL)
    out = []
    for j, name in enumerate(columns):
        x, y = left + (j + 0.5) * cell + 4, top - 6
        text, whole = escape(_cut(name, top - 12)), escape(name)
        out.append(
            f'<text class="row" transform="translate({x:.1f} {y:.1f}) rotate(-90)">{text}<title>{whole}</title></text>'
        )
    for i, name in enumerate(rows):
        y = top + i * tall
        text, whole = escape(_cut(name, left - 10)), escape(name)
        out.append(
            f'<text class="row" x="{left - 6:.1f}" y="{y + tall / 2 + 4:.1f}" text-anchor="end">{text}'
            f"<title>{whole}</title></text>"
        )
        total = sum(counts[i])
        for j, count in enumerate(counts[i]):
            share = count / total if total else 0.0
            x = left + j * cell
            kind = "right" if i == j else "wrong"
            place = f'x="{x + 0.5:.1f}" y="{y + 0.5:.1f}" width="{cell - 1:.1f}" height="{tall - 1:.1f}"'
            tip = escape(f"{name} → {columns[j]}: {count} of {total}")
            out.append(f'<rect class="cell" {place}/>')
            if count:
                out.append(f'<rect class="cell {kind}" {place} fill-opacity="{0.06 + 0.44 * share:.2f}"/>')
            size = min(11.0, (cell - 3) / (0.6 * len(str(count))))
            out.append(
                f'<text class="count{"" if count else " none"}" x="{x + cell / 2:.1f}" y="{y + tall / 2 + 4:.1f}" '
                f'text-anchor="middle" style="font-size:{size:.1f}px">{count}<title>{tip}</title></text>'
            )
    bottom = top + len(rows) * tall
    out.append(f'<text class="unit" x="{left:.0f}" y="{bottom + 16:.0f}">{escape(row_unit)} ↓ {escape(unit)} →</text>')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + 22:.0f}" role="img" '
        f'aria-label="{escape(title, quote=True)}">{"".join(out)}</svg>'
    )


def _cut(name: str, room: float) -> str:
    length = int(room / _LETTER)
    return name if len(name) <= length else shortened(name, length)
