"""The report in a real browser: a Chromium of this machine, where there is one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cases.fake_runs import make_run
from transfer.__main__ import main
from transfer.demo import digits
from transfer.records.record import Tide

# pycocotools 2.0.11 meets numpy 2 with an outdated __array__; nothing here can change that.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)

AXE = "4.14.1"  # axe-core, from npm or from where the variable AXE_CORE says it lies
PHONE = 844  # pixels: the height of a phone's screen

TIDE = Tide(50.0, 5.0, 12.0, 1.0, 0.5, 3.0, 20.0, 9.0, 30.0)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A report with everything in it: starts, seeds, label fractions, curves, TIDE, pretraining, published rows."""
    folder = tmp_path_factory.mktemp("report")
    digits.write(folder / "data", digits.Settings(size=48, train=1, val=6, unlabeled=1))
    names = []
    for init, shift in (("random", 3), ("metamask", 1), ("a start with a name that is rather long", 2)):
        for seed in range(3):
            for fraction in (1.0, 0.1):
                run = folder / f"{init}-{seed}-{fraction}"
                tide = {"bbox": TIDE, "segm": None}
                make_run(run, folder / "data", init, seed, shift, fraction, label_fraction=fraction, tide=tide)
                (run / "metrics.json").write_text(
                    '{"iteration": 1, "total_loss": 2.0}\n{"iteration": 2, "total_loss": 1.0, "segm/AP": 3.0}\n'
                    '{"iteration": 3, "segm/AP": 4.0}\n'
                )
                names.append(str(run))
    pretrain = folder / "pretrain"
    pretrain.mkdir()
    (pretrain / "metrics.jsonl").write_text(
        '{"iteration": 1, "contrastive": 9.0}\n{"iteration": 2, "contrastive": 8.0}\n'
    )
    stages = folder / "stages.json"
    stages.write_text('[{"stage": "data", "seconds": 4.6, "command": "python -m transfer.demo.digits --out data"}]')
    flags = ["--published", "--pretrain", str(pretrain), "--resamples", "100", "--images", "3"]
    flags += ["--stages", str(stages)]
    assert main(["report", *names, "--out", str(folder / "out"), *flags]) == 0
    return folder / "out/report.html"


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip(f"no browser: expected one of {', '.join(BROWSERS)}, found none (Debian: chromium-headless-shell)")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, page_file):
    contexts = []

    def open_page(width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else page.complaints.append(r.url))
        page.goto(page_file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_says_no_error(opened, width, scheme):
    page = opened(width, scheme)
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing reaches out of the page either, but for what scrolls in a frame of its own.
    out = page.evaluate(
        """width => [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg, .store")
            && e.getBoundingClientRect().right > width + 1).map(e => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert out == []
    # And no text is clipped by its own box.
    clipped = page.evaluate(
        """() => [...document.querySelectorAll("h1, h2, h3, h4, p, dd, li, figcaption, button, td, th")].filter(e =>
            e.clientWidth && e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert clipped == []
    assert page.complaints == []


def test_on_a_phone_the_page_is_short_and_sections_open_by_a_touch_or_a_link(opened):
    page = opened(390)
    assert page.evaluate("document.documentElement.scrollHeight") < 10 * PHONE
    assert page.is_visible("#evidence .chart >> nth=0")
    assert not page.is_visible("#runs table >> nth=0")
    page.click("#runs summary")
    assert page.is_visible("#runs table >> nth=0")
    page.click("nav a[href='#training']")
    page.wait_for_selector("#training .chart >> nth=0")
    page.click("#training summary >> nth=0")
    assert not page.is_visible("#training .chart >> nth=0")
    page.click("nav a[href='#training']")  # the same link again
    page.wait_for_selector("#training .chart >> nth=0")
    assert page.complaints == []


def test_on_a_phone_the_compared_pair_stands_side_by_side(opened):
    page = opened(390)
    boxes = [page.locator(f".image >> nth=0 >> .pair >> nth={i}").bounding_box() for i in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert min(box["width"] for box in boxes) > 150


def test_on_a_phone_a_table_shows_that_it_scrolls(opened):
    page = opened(390)
    frame = page.locator("#table .scroll")
    assert frame.evaluate("e => e.scrollWidth > e.clientWidth")
    assert frame.evaluate("e => getComputedStyle(e).backgroundImage").count("gradient") == 4
    assert frame.evaluate("e => getComputedStyle(e).overflowX") == "scroll"


def test_every_image_loads(opened):
    page = opened()
    sizes = page.evaluate(
        """() => Promise.all([...document.querySelectorAll("image, img")].map(async element => {
            const image = new Image();
            image.src = element.getAttribute("href") ?? element.src;
            await image.decode();
            return image.naturalWidth;
        }))"""
    )
    assert len(sizes) >= 2
    assert set(sizes) == {48}
    uses = page.evaluate("[...document.querySelectorAll('use')].map(u => !!document.querySelector(u.href.baseVal))")
    assert uses
    assert all(uses)
    assert page.evaluate("[...document.querySelectorAll('.photo')].every(p => p.getBoundingClientRect().width > 80)")


def column(page, name):
    return page.evaluate(
        """name => {
            const table = document.getElementById("results"), heads = [...table.tHead.rows[1].cells];
            const at = heads.findIndex(h => h.textContent.trim().startsWith(name));
            return [...table.tBodies[0].rows].map(r => r.cells[at].dataset.sort ?? "");
        }""",
        name,
    )


def test_the_table_sorts_both_ways_and_keeps_what_is_missing_last(opened):
    page = opened()
    before = column(page, "AP")
    page.click("#results thead tr:nth-child(2) th:has-text('AP') button")
    falling = [float(v) for v in column(page, "AP")]
    assert falling == sorted(falling, reverse=True)
    assert sorted(before) == sorted(column(page, "AP"))
    page.click("#results thead tr:nth-child(2) th:has-text('AP') button")
    assert [float(v) for v in column(page, "AP")] == falling[::-1]
    for _ in range(2):
        page.click("#results thead tr:nth-child(2) th:has-text('Δ AP') button")
        assert column(page, "Δ AP")[-2:] == ["", ""]  # the baselines
    page.click("#results thead tr:nth-child(2) th:has-text('start') button")
    assert column(page, "start") == sorted(column(page, "start"))
    assert page.get_attribute("#results thead tr:nth-child(2) th", "aria-sort") == "ascending"
    assert page.complaints == []


def test_colours_can_be_chosen_and_overlays_hidden(opened):
    page = opened()

    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    page.click("#theme")
    assert ground() == light
    page.click("#theme")
    assert ground() != light
    visible = ".photo .labels g:not(.low) text >> nth=0"
    assert page.is_visible(visible)
    page.uncheck("[data-part=labels]")
    assert not page.is_visible(visible)
    assert page.is_visible(".photo .shapes g:not(.low) .box >> nth=0")


def drawn(page):
    """Scores of the detections that are to be seen in the first image's first run, in percent."""
    return page.evaluate(
        """() => [...document.querySelector(".image figure:not(.truth)").querySelectorAll(".shapes > [data-s]")]
            .filter(e => getComputedStyle(e).display !== "none").map(e => Number(e.dataset.s))"""
    )


def test_the_score_limit_moves(opened):
    page = opened()
    assert min(drawn(page)) >= 50
    before = len(drawn(page))
    page.fill("#limit", "30")
    assert page.inner_text("output") == "0.30"
    assert len(drawn(page)) >= before
    assert not page.is_visible(".fixed >> nth=0")  # F1 is that of the report's own limit
    page.fill("#limit", "95")
    few = drawn(page)
    assert 0 < len(few) <= 3 or min(few) >= 95
    if max(few) < 95:
        first = page.locator(".image figure:not(.truth) >> nth=0")
        assert "nothing reaches the limit" in first.inner_text()
        assert float(first.locator(".shapes > g:not(.low)").first.evaluate("e => getComputedStyle(e).opacity")) < 0.6
    assert page.complaints == []


def test_images_can_be_filtered_by_class_and_by_kind_of_error(opened):
    page = opened()

    def shown():
        return page.locator(".image:visible").count()

    everything = shown()
    counts = {}
    for kind in ("right", "wrong place", "nothing there", "missed"):
        page.select_option("#only-kind", label=kind)
        counts[kind] = shown()
        said = page.inner_text("#shown")
        assert said == f"{counts[kind]} of {page.locator('.image').count()} pictures"
    assert counts["right"] > 0
    assert min(counts.values()) < everything
    page.select_option("#only-kind", label="all")
    page.select_option("#only-class", label="zero")
    zero = shown()
    assert 0 < zero < everything
    for card in page.locator(".image:visible").all():
        assert "zero" in card.locator("svg.photo").evaluate_all("all => all.map(e => e.textContent).join()")
    page.select_option("#only-class", label="all")
    assert shown() == everything
    assert page.complaints == []


def test_an_image_opens_large_and_everything_goes_by_the_keyboard(opened):
    page = opened(1440)
    page.focus(".open >> nth=1")
    page.keyboard.press("Enter")
    name = page.inner_text(".open >> nth=1")
    assert page.is_visible("#viewer")
    assert page.inner_text("#viewer-title").startswith(f"{name} · 2 of ")
    pictures = page.locator("#stage .photo")
    assert pictures.count() == 2
    assert min(box["width"] for box in (one.bounding_box() for one in pictures.all())) > 400
    captions = page.locator("#stage .title").all_inner_texts()
    assert captions == ["random, seed 0", "metamask, seed 0"]
    page.keyboard.press("ArrowRight")
    assert " · 3 of " in page.inner_text("#viewer-title")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert " · 1 of " in page.inner_text("#viewer-title")
    page.keyboard.press("Escape")
    assert not page.is_visible("#viewer")
    assert page.evaluate("document.activeElement.className") == "open"
    assert page.complaints == []


@pytest.mark.parametrize("width", [390, 1440])
def test_a_slider_stands_between_any_two_columns(opened, width):
    page = opened(width)
    page.click(".open >> nth=0")
    page.select_option("#view", "slider")
    page.select_option("#left", label="ground truth")
    first, second = (one.bounding_box() for one in page.locator("#stage .photo").all())
    assert first == second  # one over the other
    assert first["width"] <= width

    def cut():
        return page.locator("#stage .photo >> nth=1").evaluate("e => getComputedStyle(e).clipPath")

    page.focus("#cut")
    before = cut()
    page.keyboard.press("ArrowRight")
    assert cut() != before
    page.mouse.move(first["x"] + 0.25 * first["width"], first["y"] + 50)
    page.mouse.down()
    page.mouse.move(first["x"] + 0.75 * first["width"], first["y"] + 50)
    page.mouse.up()
    assert abs(float(page.input_value("#cut")) - 75) <= 1
    page.select_option("#view", "all")
    assert page.locator("#stage .photo").count() == page.locator(".image >> nth=0 >> figure").count()
    page.click("#close")
    assert page.complaints == []


def test_a_filter_and_a_limit_hold_in_the_opened_image_too(opened):
    page = opened(1440)
    page.fill("#limit", "90")
    page.click(".open >> nth=0")
    low = page.locator("#stage [data-s]").evaluate_all(
        "all => all.filter(e => e.dataset.s < 90).map(e => e.className.baseVal)"
    )
    assert all("low" in kind or "dim" in kind for kind in low)
    assert low


def test_a_command_is_copied_whole(opened):
    page = opened()
    command = page.inner_text(".stages code >> nth=0")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click(".copy >> nth=0")
    page.wait_for_function("document.querySelector('.copy').textContent !== 'copy'")
    if page.inner_text(".copy >> nth=0") == "copied":
        assert page.evaluate("navigator.clipboard.readText()") == command
    else:
        assert page.evaluate("getSelection().toString()") == command


def test_on_paper_everything_is_open_and_controls_are_gone(opened):
    page = opened(390)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.is_visible("#runs table >> nth=0")
    assert not page.is_visible("nav")
    assert not page.is_visible("#limit")
    assert not page.is_visible(".copy >> nth=0")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    ink = page.evaluate("getComputedStyle(document.querySelector('h1')).color")
    assert max(int(v) for v in ink[4:-1].split(",")) < 60


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """axe-core's script (MPL-2.0, Deque Systems), which is no part of this repository."""
    if (given := os.environ.get("AXE_CORE")) is not None:
        return Path(given).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no axe-core: expected npm, or a copy of axe.min.js named by AXE_CORE, found neither")
    folder = tmp_path_factory.mktemp("axe")
    command = [
        npm,
        "install",
        "--prefix",
        str(folder),
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        f"axe-core@{AXE}",
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no axe-core: expected npm to install it, found {type(error).__name__}; name a copy by AXE_CORE")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(opened, axe, width, scheme):
    """Headings, names, contrast, keyboard: with every section open, and with an image open."""
    page = opened(width, scheme)

    def violations():
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        return [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found]

    unfold(page)
    assert violations() == []
    page.click(".open >> nth=0")
    page.select_option("#view", "slider")
    assert violations() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(opened, scheme):
    """WCAG's contrast of at least 4.5 for text, 3 for marks of charts."""
    page = opened(1280, scheme)
    contrast = """selector => {
        const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const light = c => { const [r, g, b] = c.map(v => { v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const element = document.querySelector(selector);
        const style = getComputedStyle(element);
        let ground = element;
        while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        const ink = light(rgb(element.closest("svg") && style.fill !== "none" ? style.fill : style.color));
        const below = light(rgb(getComputedStyle(ground).backgroundColor));
        return (Math.max(ink, below) + 0.05) / (Math.min(ink, below) + 0.05);
    }"""
    for selector in ("h1", ".caveat", ".note", ".limits", ".verdict", "nav a", ".panel figcaption", ".chart .tick"):
        assert page.evaluate(contrast, selector) >= 4.5, selector
    for series in range(3):
        assert page.evaluate(contrast, f".panel .mark.s{series}") >= 3, series
