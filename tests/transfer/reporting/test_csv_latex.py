import csv
import io

import pytest

from tests.transfer.reporting.test_markdown import runs, summary
from transfer.reporting import csv_latex


@pytest.fixture
def two_shares():
    some = [*runs("a_b", 15.0, 15.4, 15.2), *runs("random", 12.0, 12.1, 12.3)]
    return summary(*some, *runs("random", 5.0, label_fraction=0.1))


def test_the_csv_has_every_number_once(two_shares):
    text = csv_latex.to_csv(two_shares)
    rows = list(csv.DictReader(io.StringIO(text)))
    keys = [(r["start"], r["label_fraction"], r["task"], r["metric"]) for r in rows]
    assert len(set(keys)) == len(keys)
    (row,) = [r for r in rows if (r["start"], r["task"], r["metric"]) == ("a_b", "segm", "AP")]
    assert float(row["mean"]) == pytest.approx(15.2)
    assert (row["n"], row["baseline"], row["interval_over"], row["verdict"]) == ("3", "random", "seeds", "better")
    assert float(row["difference_low"]) < float(row["difference"]) < float(row["difference_high"])
    assert float(row["p"]) <= float(row["p_holm"]) < 0.05
    assert not any(r["metric"] == "APs" for r in rows)  # not measured: no row, and never 0
    (base,) = [r for r in rows if (r["label_fraction"], r["task"], r["metric"]) == ("0.1", "segm", "AP")]
    assert (base["std"], base["low"], base["difference"], base["verdict"]) == ("", "", "", "")


def test_the_latex_table_is_escaped_and_rectangular(two_shares):
    text = csv_latex.to_latex(two_shares, "100 % & more_")
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len({line.replace(r"\&", "").count("&") for line in rows}) == 1
    assert r"a\_b & 100\,\% & 3 &" in text
    assert r"\caption{100 \% \& more\_}" in text
    assert r"15.2\,$\pm$\,0.2" in text
    assert "$+3.1$ [$2.5$, $3.6$]" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
