from tests.cases.records import make_record
from transfer.comparison.bootstrap import ImageResamples
from transfer.records.stages import Stage
from transfer.reporting import markdown
from transfer.reporting.published import rows
from transfer.reporting.summary import summarise

STAGES = [Stage("data", 5.4, "python -m transfer.demo.digits --out a|b"), Stage("train", 100.0, "x")]
PICTURE = markdown.Picture("detections.png", "the caption")


def runs(init, *aps, **changes):
    label = changes.get("label_fraction", "")
    return [
        make_record(init, seed, segm={"AP": ap}, name=f"{init}{seed}{label}", **changes) for seed, ap in enumerate(aps)
    ]


def summary(*records, baseline=None):
    return summarise(records, baseline, ImageResamples(10, why="no run kept its detections"))


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_headline_has_means_spreads_and_differences():
    lines = markdown.headline(summary(*runs("metamask", 14.0, 18.0), *runs("random", 10.0, 12.0))).splitlines()
    assert cells(lines[0]) == ["start", "n"] + [f"{t} {m}" for t in ("box", "mask") for m in ("AP", "AP50", "AP75")]
    assert cells(lines[2])[:2] + cells(lines[2])[5:6] == ["random", "2", "11.0 ± 1.4"]
    assert cells(lines[3])[:2] + cells(lines[3])[5:6] == ["metamask", "2", "16.0 ± 2.8"]
    assert cells(lines[4])[0] == "metamask minus random"
    assert cells(lines[4])[5] == "+5.0 ± 1.4"  # 4 and 6
    assert len({len(line) for line in lines}) == 1


def test_label_fractions_get_a_column_and_their_own_differences():
    some = [*runs("a", 14.0), *runs("random", 10.0)]
    few = [*runs("a", 6.0, label_fraction=0.1), *runs("random", 5.0, label_fraction=0.1)]
    lines = markdown.headline(summary(*some, *few)).splitlines()
    columns = [[cells(line)[i] for i in (0, 1, 6)] for line in lines[2:]]
    assert columns == [
        ["random", "100 %", "10.0"],
        ["a", "100 %", "14.0"],
        ["a minus random", "100 %", "+4.0"],
        ["random", "10 %", "5.0"],
        ["a", "10 %", "6.0"],
        ["a minus random", "10 %", "+1.0"],
    ]


def test_not_measured_is_a_dash_and_zero_is_not():
    lines = markdown.headline(summary(*runs("metamask", None), *runs("random", 0.0))).splitlines()
    assert [cells(line)[5] for line in lines[2:]] == ["0.0", "–", "–"]


def test_one_seed_cannot_carry_a_conclusion():
    two = summary(*runs("metamask", 15.0), *runs("random", 12.0))
    text = "\n".join(markdown.words(two))
    assert (
        "**metamask** against random: mask AP 3.0 points more (12.0 to 15.0): **cannot tell: needs at least 2 more "
        "seeds**; box AP the same (12.5 to 12.5): **cannot tell"
    ) in text
    assert "One seed shows no spread" in text
    assert "±" not in markdown.headline(two)


def test_several_seeds_say_their_interval_and_a_verdict():
    text = "\n".join(markdown.words(summary(*runs("a", 15.0, 15.4, 15.2), *runs("random", 12.0, 12.1, 12.3))))
    assert "mask AP 3.1 points more (12.1 to 15.2, 95 % interval 2.5 to 3.6 over seeds): **better**" in text
    assert "no spread" not in text
    assert "Intervals leave out the chance in the choice of val images: no run kept its detections." in text
    assert "All runs of a start from one pretrained file" in text


def test_without_a_baseline_there_are_no_differences():
    two = summary(*runs("metamask", 15.0), *runs("byol", 12.0))
    assert "minus" not in markdown.headline(two)
    assert "No run starts from random" in markdown.words(two)[0]
    assert "`--baseline NAME`" in markdown.words(two)[0]
    assert "byol minus metamask" in markdown.headline(summary(*two.records, baseline="metamask"))


def test_the_report_has_its_parts_in_order():
    two = summary(*runs("metamask", 15.0), *runs("random", 12.0))
    text = markdown.to_markdown(two, rows()[:1], STAGES, PICTURE)
    parts = [
        "**metamask",
        "| start",
        "against random",
        "## Published",
        "## What was run",
        "100/100",
        "## Classes",
        "## Stages",
        "## Pictures",
        "![",
        "the caption",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    stages = [cells(line) for line in text[text.index("## Stages") :].splitlines() if line.startswith("|")]
    assert stages[2:] == [["data", "5"], ["train", "100"], ["together", "105"]]
    assert "```sh\n# data\npython -m transfer.demo.digits --out a|b\n# train\nx\n```" in text
    assert "100 iterations of 4 images, learning rate 0.02, dropped at 60, 80, warm-up 10 iterations" in text


def test_without_stages_or_picture_their_parts_are_not_there():
    text = markdown.to_markdown(summary(*runs("random", 12.0)), [], [], markdown.Picture(None, "No picture: reason."))
    assert "## Stages" not in text
    assert "## Published" not in text
    assert "![" not in text
    assert text.endswith("No picture: reason.\n")


def test_settings_that_differ_are_listed_with_their_runs():
    two = summary(make_record(device="CPU", name="run"), make_record("metamask", device="GPU", name="run"))
    text = markdown.to_markdown(two, [], [], PICTURE)
    assert "- Device: CPU (run)\n- Device: GPU (run)" in text


def test_a_table_is_markdown_whose_columns_line_up_as_text():
    text = markdown.table(["start", "AP", "a|b"], [["one\ntwo", "+1.0 ± 0.2", "x"], ["a|b", "–", "long text"]])
    header, rule, first, second = text.splitlines()
    assert len({len(header), len(rule), len(first), len(second)}) == 1
    assert first.startswith("| one two |")
    assert second.startswith(r"| a\|b")
    assert second.index("–") > second.index("|") + 10  # numbers to the right
    assert rule.split("|")[2].endswith("-:")
    assert rule.split("|")[1].startswith(":-")
    assert markdown.table(["start", "AP"], []).splitlines()[0].split() == ["|", "start", "|", "AP", "|"]


def test_published_rows_say_what_is_not_verified():
    text = markdown.published_table([row for row in rows() if row.name == "SimSiam"])
    assert "from memory" in text
    assert "verified" in text
