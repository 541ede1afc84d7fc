from tests.records import make_record
from transfer import markdown
from transfer.compare import group

STAGES = [markdown.Stage("data", 5.4, "python -m transfer.digits --out a|b"), markdown.Stage("train", 100.0, "x")]
PICTURE = markdown.Picture("detections.png", "the caption")


def runs(init, *aps):
    return [make_record(init, seed, segm={"AP": ap}, name=f"{init}{seed}") for seed, ap in enumerate(aps)]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_headline_has_means_spreads_and_differences():
    groups = group(runs("metamask", 14.0, 18.0) + runs("random", 10.0, 12.0))
    lines = markdown.headline(groups, groups[0]).splitlines()
    assert cells(lines[0]) == ["start", "n"] + [f"{t} {m}" for t in ("box", "mask") for m in ("AP", "AP50", "AP75")]
    assert cells(lines[2])[:2] + cells(lines[2])[5:6] == ["random", "2", "11.0 ± 1.4"]
    assert cells(lines[3])[:2] + cells(lines[3])[5:6] == ["metamask", "2", "16.0 ± 2.8"]
    assert cells(lines[4])[0] == "metamask minus random"
    assert cells(lines[4])[5] == "+5.0 ± 1.4"  # 4 and 6
    assert len({len(line) for line in lines}) == 1


def test_not_measured_is_a_dash_and_zero_is_not():
    groups = group(runs("metamask", None) + runs("random", 0.0))
    lines = markdown.headline(groups, groups[0]).splitlines()
    assert [cells(line)[5] for line in lines[2:]] == ["0.0", "–", "–"]


def test_one_seed_cannot_carry_a_conclusion():
    groups = group(runs("metamask", 15.0) + runs("random", 12.0))
    text = "\n".join(markdown.words(groups, groups[0]))
    assert "**metamask** against random: mask AP 3.0 points more (12.0 to 15.0), box AP the same (12.5 to 12.5)" in text
    assert "One seed shows no spread" in text
    assert "±" not in markdown.headline(groups, groups[0])


def test_several_seeds_say_their_spread_and_not_that_there_is_none():
    groups = group(runs("metamask", 11.0, 12.0, 13.0) + runs("random", 12.0, 12.0, 12.0))
    text = "\n".join(markdown.words(groups, groups[0]))
    assert "box AP the same" in text
    assert "mask AP the same (12.0 to 12.0, standard deviation 1.0 over 3 pairs of runs)" in text
    assert "no spread" not in text


def test_without_a_baseline_there_are_no_differences():
    groups = group(runs("metamask", 15.0) + runs("byol", 12.0))
    assert "minus" not in markdown.headline(groups, None)
    assert "No run starts from random" in markdown.words(groups, None)[0]


def test_the_report_has_its_parts_in_order():
    groups = group(runs("metamask", 15.0) + runs("random", 12.0))
    text = markdown.report(groups, groups[0], STAGES, PICTURE)
    parts = [
        "| start",
        "against random",
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
    assert "| data     |       5 |\n| train    |     100 |\n| together |     105 |" in text
    assert "```sh\n# data\npython -m transfer.digits --out a|b\n# train\nx\n```" in text
    assert "100 iterations of 4 images, learning rate 0.02, dropped at 60, 80, warm-up 10 iterations" in text


def test_without_stages_or_picture_their_parts_are_not_there():
    groups = group(runs("random", 12.0))
    text = markdown.report(groups, groups[0], [], markdown.Picture(None, "No picture: reason."))
    assert "## Stages" not in text
    assert "![" not in text
    assert text.endswith("No picture: reason.\n")


def test_settings_that_differ_are_listed_with_their_runs():
    groups = group([make_record(device="CPU", name="run"), make_record("metamask", device="GPU", name="run")])
    text = markdown.report(groups, groups[0], [], PICTURE)
    assert "- Device: CPU (run)\n- Device: GPU (run)" in text
